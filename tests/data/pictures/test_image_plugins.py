"""HEIC and JPEG XL, opened within limits, in their colours, and told apart from what cannot be opened."""

import builtins
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # it registers itself
import pytest
from PIL import Image

from ecenet.data.formats.kinds import kind_of
from ecenet.data.formats.plugins import jxl_size
from ecenet.data.images import image_size, load_image
from tests.support.color_profiles import DISPLAY_P3
from tests.support.helpers import encode, gradient
from tests.support.refusals import refused

pillow_heif.register_heif_opener()
RGB = np.asarray(gradient(64, 48))
LOSSLESS: dict[str, dict[str, Any]] = {"HEIF": {"quality": -1, "chroma": 444}, "JXL": {"lossless": True}}


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    return encode(image or gradient(64, 48), kind, **(LOSSLESS[kind] | options))


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("name", ["IMG_1.HEIC", "IMG_1.HEIF", "photo", "photo.jpg"])
def test_they_open_whatever_they_are_called(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encoded(kind))
    loaded = load_image(tmp_path / name)
    assert np.abs(np.asarray(loaded).astype(int) - RGB).mean() < 3
    assert image_size(tmp_path / name) == loaded.size == (64, 48)
    assert loaded.notes == ()


def test_the_profile_of_a_heic_is_converted() -> None:
    """That of a JPEG XL is handed on in the same way, but the plugin (1.3) writes none that could be read."""
    smooth = Image.fromarray(RGB).resize((8, 6)).resize((64, 48), Image.Resampling.BICUBIC)
    data = encoded("HEIF", smooth, icc_profile=DISPLAY_P3.profile())
    assert np.abs(np.asarray(load_image(data)).astype(int) - DISPLAY_P3.to_srgb(np.asarray(smooth))).mean() < 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", LOSSLESS)
def test_they_come_out_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = {1: RGB, 3: RGB[::-1, ::-1], 6: np.rot90(RGB), 8: np.rot90(RGB, -1)}[orientation]
    data = encoded(kind, Image.fromarray(np.ascontiguousarray(turned)), exif=exif.tobytes())
    assert np.abs(np.asarray(load_image(data)).astype(int) - RGB).mean() < 3
    assert image_size(data) == (64, 48)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_transparency_becomes_white(kind: str) -> None:
    image = gradient(64, 48)
    image.putalpha(Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 32, axis=1).repeat(48, axis=0)))
    loaded = np.asarray(load_image(encoded(kind, image)))
    assert (loaded[:, :31] >= 253).all()
    assert np.abs(loaded[:, 32:].astype(int) - RGB[:, 32:]).mean() < 3


@pytest.mark.parametrize(("kind", "share"), [("HEIF", 0.6), ("JXL", 0.2)])
def test_they_have_limits_of_their_own(kind: str, share: float) -> None:
    data = encoded(kind)
    assert load_image(data, max_pixels=round(64 * 48 / share) + 1).size == (64, 48)
    with refused("image-too-large", "64×48"):
        load_image(data, max_pixels=round(64 * 48 / share) - 10)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_truncated_files_are_refused(kind: str) -> None:
    data = encoded(kind)
    for length in range(1, len(data) - 40, 97):
        with pytest.raises(Exception, match="Expected"):
            load_image(data[:length])


@pytest.mark.parametrize(("package", "kind", "hint"), [("pillow_heif", "HEIF", "JPEG"), ("pillow_jxl", "JXL", "JPEG")])
def test_without_its_package_a_sentence_says_what_to_do(
    package: str, kind: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "IMG_7.HEIC").write_bytes(encoded(kind))
    real = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with refused("package-missing", "IMG_7.HEIC", hint):
        load_image(tmp_path / "IMG_7.HEIC")


@pytest.mark.parametrize(
    "size", [(8, 8), (64, 48), (97, 61), (256, 256), (300, 225), (1000, 8), (1600, 900), (8, 9000)]
)
@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_unpacked(
    size: tuple[int, int], container: bool, mode: str
) -> None:
    image = Image.new(mode, size)
    data = encode(image, "JXL", lossless=True, use_container=container, effort=1)
    assert jxl_size(data) == size


def test_a_jpeg_xl_that_claims_too_much_is_refused_unread() -> None:
    # One bit for sides that are no multiples of 8, then two for 30 bits of the height, and the ratio 1:1.
    bits = 0 | 0b11 << 1 | (2**30 - 1) << 3 | 1 << 33
    with refused("image-too-large", "1073741824×1073741824"):
        load_image(b"\xff\x0a" + bits.to_bytes(20, "little"))


def test_kinds_are_told_by_the_first_bytes() -> None:
    def brands(major: bytes, *others: bytes) -> bytes:
        body = b"ftyp" + major + bytes(4) + b"".join(others)
        return struct.pack(">I", 4 + len(body)) + body + bytes(40)

    assert kind_of(brands(b"heic", b"mif1")) == kind_of(brands(b"mif1", b"heic")) == "HEIF"
    assert kind_of(brands(b"avif", b"mif1")) == kind_of(brands(b"mif1", b"avif")) == kind_of(brands(b"isom")) == "other"
    assert kind_of(brands(b"crx ")) == "raw"
    assert kind_of(encode(gradient(), "AVIF")) == "other"
    assert {kind: kind_of(encode(gradient(), kind)) for kind in ("JPEG", "PNG", "TIFF", "BMP")} == {
        "JPEG": "JPEG", "PNG": "PNG", "TIFF": "TIFF", "BMP": "other",
    }  # fmt: skip
