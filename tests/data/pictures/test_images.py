"""Whatever picture comes: an upright RGB image."""

import copy
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.data.images import RGBImage, image_size, load_image, thumbnail
from tests.support.helpers import encode, gradient
from tests.support.refusals import refused

WHITE, RED, BLACK = (255, 255, 255), (255, 0, 0), (0, 0, 0)


# How a 16×24 picture must be stored so that each orientation shows it upright.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a.transpose(1, 0, 2)[::-1],
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    upright = np.zeros((24, 16, 3), dtype=np.uint8)
    upright[:8, :4] = RED  # top left; its own height and width differ as well
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    data = encode(stored, kind, exif=exif, quality=95)

    loaded = np.asarray(load_image(data))
    assert loaded.shape == upright.shape
    assert np.abs(loaded.astype(int) - upright).mean() < 12, "what lossy files may differ by"
    assert image_size(data) == (16, 24)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa"])
def test_transparent_pixels_become_white_and_half_transparent_ones_blend(mode: str) -> None:
    rgba = np.zeros((8, 8, 4), dtype=np.uint8)
    rgba[:, 2:4, 3] = 255
    rgba[:, 4:, 3] = 128
    image = Image.fromarray(rgba)
    if mode == "PA":
        image = Image.frombytes("PA", (8, 8), image.convert("LA").tobytes())
        image.putpalette(BLACK)
    else:
        image = image.convert("LA").convert("La") if mode == "La" else image.convert(mode)

    loaded = np.asarray(load_image(image))
    assert (loaded[:, :2] == 255).all()
    assert (loaded[:, 2:4] == 0).all()
    assert np.abs(loaded[:, 4:].astype(int) - 127).max() <= 1


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_png_colour_marked_transparent_becomes_white(mode: str) -> None:
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)
    pixels[:, 4:] = 200
    if mode == "P":
        image = Image.fromarray((pixels[..., 0] > 0).astype(np.uint8)).convert("P")
        image.putpalette([*BLACK, 200, 200, 200])
        transparent: object = 0
    else:
        image = Image.fromarray(pixels).convert(mode)
        transparent = 0 if mode == "L" else BLACK
    loaded = np.asarray(load_image(encode(image, "PNG", transparency=transparent)))
    assert (loaded[:, :4] == 255).all()
    assert (loaded[:, 4:] == 200).all()


def test_greyscale_and_one_bit_images_keep_their_tones() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    assert np.array_equal(np.asarray(load_image(encode(Image.fromarray(grey), "PNG"))), np.stack([grey] * 3, -1))
    bits = np.eye(8, dtype=bool)
    loaded = np.asarray(load_image(encode(Image.fromarray(bits), "PNG")))
    assert np.array_equal(loaded, np.stack([bits.astype(np.uint8) * 255] * 3, -1))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bit_values_are_scaled_not_clipped(mode: str) -> None:
    values = np.linspace(0, 65535, 64).round().reshape(8, 8)
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}
    image = Image.frombytes(mode, (8, 8), values.astype(kinds[mode]).tobytes())
    for source in (image, encode(image, "TIFF" if mode == "I;16B" else "PNG")):
        loaded = np.asarray(load_image(source))
        assert np.abs(loaded[..., 0] - values / 257).max() <= 0.5
    assert np.array_equal(loaded[..., 0], loaded[..., 2])


def test_a_float_tiff_is_scaled_from_zero_to_one() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    loaded = np.asarray(load_image(encode(Image.fromarray(values), "TIFF")))
    assert np.abs(loaded[..., 1] - values * 255).max() <= 0.5


def test_a_float_tiff_beyond_one_sets_its_own_range_and_holes_are_black() -> None:
    values = np.linspace(-50, 450, 64, dtype=np.float32).reshape(8, 8)
    values[3, 3] = np.nan
    loaded = np.asarray(load_image(encode(Image.fromarray(values), "TIFF")))[..., 0]
    assert (loaded[0, 0], loaded[-1, -1]) == (0, 255)
    assert loaded[3, 3] == round(50 / 500 * 255), "a hole counts as the value 0"


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    image = Image.new("RGB", (16, 16), RED)
    loaded = load_image(encode(image.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(np.asarray(loaded).astype(int) - np.array(RED)).max() <= 8


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in (RED, BLACK, WHITE)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 3
    assert np.abs(np.asarray(load_image(data)).astype(int) - np.array(RED)).max() <= 2


def test_a_callers_animation_stays_at_the_frame_that_it_shows() -> None:
    frames = [Image.new("RGB", (16, 16), color) for color in (RED, BLACK, WHITE)]
    animation = Image.open(io.BytesIO(encode(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    animation.seek(1)
    assert load_image(animation).getpixel((0, 0)) == BLACK
    assert animation.tell() == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "1", "I;16", "F", "CMYK"])
def test_a_callers_image_is_not_modified_and_shares_no_memory(mode: str) -> None:
    image = Image.new("F", (12, 8), 0.5) if mode == "F" else Image.new(mode, (12, 8))
    exif = image.getexif()
    exif[0x0112] = 6
    before = (image.mode, image.size, image.tobytes(), dict(image.info))
    loaded = load_image(image)
    assert loaded.size == (8, 12)
    loaded.paste(RED, (0, 0, 8, 12))
    assert (image.mode, image.size, image.tobytes(), dict(image.info)) == before
    assert image.getexif()[0x0112] == 6


def test_bytes_path_and_string_give_the_same_image(tmp_path: Path) -> None:
    data = encode(gradient(), "PNG")
    path = tmp_path / "ünï cødé.png"
    path.write_bytes(data)
    expected = np.asarray(gradient())
    for source in (data, path, str(path), gradient()):
        assert np.array_equal(np.asarray(load_image(source)), expected)
    assert image_size(path) == image_size(data) == (32, 24)


RGB = np.asarray(gradient())


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RGB, RGB),
        (RGB[:, ::-1], RGB[:, ::-1]),
        (RGB[..., 0], np.stack([RGB[..., 0]] * 3, -1)),
        (RGB[..., :1], np.stack([RGB[..., 0]] * 3, -1)),
        (np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]), RGB),
        (np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)]), np.full_like(RGB, 255)),
        (RGB.astype(np.uint16) * 257, RGB),
        ((RGB.astype(np.uint16) * 257).astype(">u2"), RGB),
        (RGB[..., 0] > 99, np.stack([(RGB[..., 0] > 99) * np.uint8(255)] * 3, -1)),
        (RGB / 255, RGB),
        ((RGB / 255).astype(np.float32), RGB),
        ((RGB / 255).astype(np.float16), RGB),
    ],
    ids=lambda value: f"{value.dtype.str}-{value.shape}",
)
def test_every_accepted_array_gives_its_pixels(array: np.ndarray, expected: np.ndarray) -> None:
    before = array.copy()
    assert np.array_equal(np.asarray(load_image(array)), expected)
    assert np.array_equal(array, before)


def test_what_has_been_normalised_is_returned_itself(tmp_path: Path) -> None:
    gradient().save(tmp_path / "picture.png")
    for source in (tmp_path / "picture.png", encode(gradient(), "PNG"), gradient(), np.asarray(gradient())):
        loaded = load_image(source)
        assert type(loaded) is RGBImage
        assert load_image(loaded) is loaded
    with refused("image-too-large", "32×24", limit=32 * 24 - 1):
        load_image(loaded, max_pixels=32 * 24 - 1)


def test_only_what_is_known_to_be_normalised_bears_the_type() -> None:
    loaded = load_image(gradient())
    for derived in (loaded.convert("RGBA"), loaded.resize((16, 12)), loaded.crop((0, 0, 16, 12)), loaded.copy()):
        assert type(derived) is Image.Image
    assert type(thumbnail(loaded, max_side=16)) is RGBImage
    assert type(thumbnail(gradient(), max_side=16)) is Image.Image


def test_a_normalised_image_is_copied_and_pickled_whole() -> None:
    loaded = load_image(gradient())
    for same in (copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
        assert type(same) is RGBImage
        assert same == loaded


def test_a_thumbnail_never_loses_a_side() -> None:
    small = gradient()
    assert thumbnail(small, max_side=32) is small
    assert thumbnail(small, max_side=16).size == (16, 12)
    assert thumbnail(Image.new("RGB", (8, 8000)), max_side=256).size == (1, 256)
