"""Files that say how their colours are meant come out in sRGB, as a reference conversion in numpy has them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from ecenet.data.images import load_image
from tests.support.color_profiles import (
    ADOBE_RGB,
    BT2020,
    DISPLAY_P3,
    LINEAR,
    PROPHOTO,
    SRGB,
    SWAPPED,
    Curve,
    Space,
    cmyk_profile,
    grey_profile,
    lab_to_srgb,
    srgb_encode,
)
from tests.support.helpers import encode

TOLERANCE = 3
"""Of 255, of the mean error."""
Lab = tuple[float, float, float]
SPACES = {"P3": DISPLAY_P3, "Adobe": ADOBE_RGB, "ProPhoto": PROPHOTO, "linear": LINEAR, "swapped": SWAPPED}


def smooth(width: int = 64, height: int = 48) -> np.ndarray:
    """Colours of every kind that JPEG keeps."""
    y, x = np.mgrid[:height, :width]
    red, green = x * 255 / (width - 1), y * 255 / (height - 1)
    return np.stack([red, green, 255 - (red + green) / 2], axis=-1).round().astype(np.uint8)


def error(data: bytes, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(load_image(data)).astype(float) - expected).mean())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("name", SPACES)
def test_a_profile_is_converted_to_srgb(name: str, kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    space, pixels = SPACES[name], smooth()
    data = encode(Image.fromarray(pixels), kind, icc_profile=space.profile(), quality=97)
    plain = encode(Image.fromarray(pixels), kind, quality=97)
    expected = space.to_srgb(pixels)
    assert error(data, expected) < TOLERANCE
    assert error(plain, expected) > TOLERANCE, "which is seen where the profile is ignored"
    assert load_image(data).notes == ()


@pytest.mark.parametrize("name", SPACES)
def test_a_profile_of_a_jpeg_xl_file_is_converted(name: str, tmp_path: Path) -> None:
    """Its encoder writes the profile of a JPEG that it packs without loss, and no other."""
    pytest.importorskip("pillow_jxl")
    space, pixels = SPACES[name], smooth()
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode(Image.fromarray(pixels), "JPEG", icc_profile=space.profile(), quality=97))
    with Image.open(path) as jpeg:
        packed = encode(jpeg, "JXL", lossless_jpeg=True)
    assert error(packed, space.to_srgb(pixels)) < TOLERANCE


def test_a_profile_that_swaps_red_and_blue_does_so_exactly() -> None:
    pixels = smooth()
    loaded = np.asarray(load_image(encode(Image.fromarray(pixels), "PNG", icc_profile=SWAPPED.profile())))
    assert np.abs(loaded.astype(int) - pixels[..., ::-1]).max() <= 2


PILLOWS_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize("profile", [SRGB.profile(), PILLOWS_SRGB], ids=["ours", "Pillow's"])
def test_an_srgb_profile_changes_nothing(profile: bytes) -> None:
    pixels = smooth()
    assert np.array_equal(np.asarray(load_image(encode(Image.fromarray(pixels), "PNG", icc_profile=profile))), pixels)


@pytest.mark.parametrize("mode", ["RGBA", "P", "L", "LA", "1", "I;16"])
@pytest.mark.parametrize("profile", [LINEAR.profile(), grey_profile(1.0)], ids=["rgb", "grey"])
def test_every_mode_is_converted_by_its_profile(mode: str, profile: bytes) -> None:
    grey = smooth()[..., 0]
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    else:
        image = (Image.fromarray(smooth()) if mode in ("RGBA", "P") else Image.fromarray(grey)).convert(mode)
    before = np.asarray(load_image(encode(image, "PNG")))
    unfit = mode in ("RGBA", "P") and profile == grey_profile(1.0)
    expected = before if unfit else LINEAR.to_srgb(before)
    assert error(encode(image, "PNG", icc_profile=profile), expected) < TOLERANCE


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(kind: str) -> None:
    inks: dict[str, tuple[float, float, float]] = {
        "c": (60, 40, 50),
        "m": (50, -50, 40),
        "y": (40, 20, -60),
        "k": (0, 0, 0),
    }
    patches = np.zeros((16, 80, 4), dtype=np.uint8)
    for place in range(3):
        patches[:, 16 * place : 16 * place + 16, place] = 255
    patches[:, 48:64, 3] = 128  # half of black: half of the lightness
    expected = [lab_to_srgb(inks[name]) for name in "cmy"] + [lab_to_srgb((100 * 127 / 255, 0, 0)), np.full(3, 255)]
    image = Image.frombytes("CMYK", (80, 16), patches.tobytes())
    data = encode(image, kind, icc_profile=cmyk_profile(inks), **({"quality": 100} if kind == "JPEG" else {}))
    assert error(data, np.repeat(np.array(expected), 16, axis=0)[None].repeat(16, axis=0)) < TOLERANCE
    assert load_image(data).notes == ()


def test_a_lab_tiff_keeps_its_colours() -> None:
    pixels = smooth()
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = to_lab.apply(Image.fromarray(pixels))
    assert lab is not None
    assert error(encode(lab, "TIFF"), pixels) < TOLERANCE


@pytest.mark.parametrize(
    ("profile", "mode"),
    [
        (b"rubbish", "RGB"),
        (SWAPPED.profile()[:200], "RGB"),
        (SWAPPED.profile()[:132] + bytes(len(SWAPPED.profile()) - 132), "RGB"),
        (grey_profile(1.0), "RGB"),
        (cmyk_profile({}), "RGB"),
        (SWAPPED.profile(), "CMYK"),
    ],
)
def test_a_profile_that_cannot_be_used_is_set_aside_with_a_note(profile: bytes, mode: str) -> None:
    image = Image.fromarray(smooth()).convert(mode)
    loaded = load_image(encode(image, "TIFF", icc_profile=profile))
    assert np.array_equal(np.asarray(loaded), np.asarray(image.convert("RGB")))
    assert len(loaded.notes) == 1
    assert "profile" in loaded.notes[0]


def test_notes_stay_with_smaller_versions_and_copies() -> None:
    from copy import deepcopy

    from ecenet.data.images import thumbnail

    loaded = load_image(encode(Image.fromarray(smooth()), "PNG", icc_profile=b"rubbish"))
    assert deepcopy(loaded).notes == thumbnail(loaded, max_side=16).notes == loaded.notes != ()


def test_a_callers_image_with_a_profile_is_converted_and_left_as_it_is() -> None:
    image = Image.open(io.BytesIO(encode(Image.fromarray(smooth()), "PNG", icc_profile=ADOBE_RGB.profile())))
    image.load()
    before = image.tobytes(), dict(image.info)
    assert np.abs(np.asarray(load_image(image)).astype(int) - ADOBE_RGB.to_srgb(smooth())).mean() < TOLERANCE
    assert (image.tobytes(), dict(image.info)) == before


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(pixels: np.ndarray, *chunks: bytes) -> bytes:
    """Chunks right behind the header."""
    data = encode(Image.fromarray(pixels), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def gamma_chunk(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))


def primaries_chunk(space: Space) -> bytes:
    values = (*space.white, *space.red, *space.green, *space.blue)
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * one) for one in values)))


def test_gamma_and_primaries_of_a_png_are_read() -> None:
    pixels = smooth()
    assert error(png_with(pixels, gamma_chunk(1.0)), LINEAR.to_srgb(pixels)) < TOLERANCE
    adobe = png_with(pixels, gamma_chunk(563 / 256), primaries_chunk(ADOBE_RGB))
    assert error(adobe, ADOBE_RGB.to_srgb(pixels)) < TOLERANCE
    prophoto = png_with(pixels, gamma_chunk(1.8), primaries_chunk(PROPHOTO))
    assert error(prophoto, PROPHOTO.to_srgb(pixels)) < TOLERANCE


def test_gamma_and_primaries_that_mean_srgb_or_nothing_change_nothing() -> None:
    pixels = smooth()
    for chunks in (
        (gamma_chunk(2.2), primaries_chunk(SRGB)),
        (chunk(b"sRGB", b"\0"), gamma_chunk(1.0)),
        (chunk(b"gAMA", bytes(4)),),
        (gamma_chunk(1.0), chunk(b"cHRM", bytes(32)))[1:],
        (gamma_chunk(2.2), chunk(b"cHRM", bytes(32))),
    ):
        assert np.array_equal(np.asarray(load_image(png_with(pixels, *chunks))), pixels)


def test_a_profile_is_preferred_to_gamma() -> None:
    pixels = smooth()
    profile = chunk(b"iCCP", b"p3\0\0" + zlib.compress(DISPLAY_P3.profile()))
    assert error(png_with(pixels, gamma_chunk(1.0), profile), DISPLAY_P3.to_srgb(pixels)) < TOLERANCE


def heif_with(pixels: np.ndarray, *, primaries: int, transfer: int) -> bytes:
    pytest.importorskip("pillow_heif").register_heif_opener()
    points = {"color_primaries": primaries, "transfer_characteristics": transfer}
    return encode(Image.fromarray(pixels), "HEIF", quality=100, chroma=444, save_nclx_profile=True, **points)


def pq_encode(linear: np.ndarray) -> np.ndarray:
    """Light, 1 = 203 cd/m² → SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (linear * 203 / 10_000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg_encode(linear: np.ndarray) -> np.ndarray:
    """Light of a display of 1000 cd/m², 1 = 203 → ITU-R BT.2100."""
    scene = (linear * 203 / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    with np.errstate(all="ignore"):
        return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(12 * scene - b) + c)


@pytest.mark.parametrize("kind", ["PNG", "AVIF", "HEIF"])
@pytest.mark.parametrize(("transfer", "code"), [(16, pq_encode), (18, hlg_encode)])
def test_high_dynamic_range_keeps_middle_tones_and_presses_highlights(kind: str, transfer: int, code: Curve) -> None:
    light = np.linspace(0, 0.65, 64)[None, :, None] * np.array([1, 0.8, 0.5])[:, None, None] * np.ones((1, 1, 3))
    light = np.repeat(light, 16, axis=0)  # (48, 64, 3): darker to brighter, of three strengths
    light[..., 2] *= 0.6
    wide = light @ (np.linalg.inv(BT2020.matrix) @ SRGB.matrix).T
    wide[:, -8:] = 4.0  # four times as bright as paper
    coded = (code(wide) * 255).round().astype(np.uint8)
    if kind == "PNG":
        data = png_with(coded, chunk(b"cICP", bytes((9, transfer, 0, 1))))
    elif kind == "HEIF":
        data = heif_with(coded, primaries=9, transfer=transfer)
    else:
        data = encode(Image.fromarray(coded), "AVIF", quality=100, subsampling="4:4:4")
        place = data.index(b"colrnclx") + 8
        data = data[:place] + struct.pack(">HH", 9, transfer) + data[place + 4 :]
    loaded = load_image(data)
    shown = np.asarray(loaded).astype(float)
    assert np.abs(shown - srgb_encode(light) * 255)[:, :-8].mean() < TOLERANCE
    assert shown[:, -4:].min() > 225
    assert any("dynamic range" in note for note in loaded.notes)


def test_code_points_of_a_wide_gamut_are_converted() -> None:
    pixels = smooth()
    assert error(heif_with(pixels, primaries=12, transfer=13), DISPLAY_P3.to_srgb(pixels)) < TOLERANCE
    assert error(png_with(pixels, chunk(b"cICP", bytes((12, 13, 0, 1)))), DISPLAY_P3.to_srgb(pixels)) < TOLERANCE
    assert np.array_equal(np.asarray(load_image(png_with(pixels, chunk(b"cICP", bytes((1, 13, 0, 1)))))), pixels)
