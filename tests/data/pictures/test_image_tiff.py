"""TIFF files of every depth show what they hold, or say why not."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from ecenet.data.images import image_size, load_image
from tests.support.helpers import encode, gradient
from tests.support.refusals import refused

RGB = np.asarray(gradient())
WIDE = RGB.astype(np.uint16) * 257
GREY = RGB[..., 0]


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def as_grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=2)


def error(data: bytes, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(load_image(data)).astype(float) - expected).mean())


def separate(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, -1, 0))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("packing", [None, "zlib"])
@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bit_colours_come_out_right(
    order: Any, packing: str | None, tile: tuple[int, int] | None, planes: Any, channels: int
) -> None:
    array = np.dstack([WIDE, np.full(WIDE.shape[:2], 65535, np.uint16)])[..., :channels]
    options: dict[str, Any] = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    data = tiff(
        separate(array) if planes == "separate" else array,
        photometric="rgb", planarconfig=planes, byteorder=order, compression=packing, tile=tile, **options,
    )  # fmt: skip
    assert error(data, RGB) < 1
    assert image_size(data) == (32, 24)
    assert load_image(data).notes == ()


def test_transparency_of_separate_planes_is_kept() -> None:
    alpha = np.zeros((24, 32), np.uint16)
    alpha[:, 16:] = 65535
    array = np.dstack([WIDE // 2, alpha])
    data = tiff(separate(array), photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"])
    expected = np.where(alpha[..., None] > 0, RGB // 2, 255)
    assert error(data, expected) < 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("packing", [None, "zlib"])
@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero(bits: int, order: Any, packing: str | None) -> None:
    values = (255 - GREY) if bits == 8 else 65535 - GREY.astype(np.uint16) * 257
    data = tiff(values, photometric="miniswhite", byteorder=order, compression=packing)
    if packing and bits == 16 and order == ">":
        with refused("wrong-file", "16"):
            load_image(data)
    else:
        assert error(data, as_grey(GREY)) < 1


def test_32_bit_unsigned_values_do_not_wrap() -> None:
    data = tiff(GREY.astype(np.uint32) * 16_843_009, photometric="minisblack")
    assert error(data, as_grey(GREY)) < 1
    loaded = load_image(tiff(np.array([[0, 2**32 - 1]] * 8, np.uint32).repeat(8, axis=1), photometric="minisblack"))
    assert (np.asarray(loaded)[:, 8:] == 255).all()
    assert loaded.notes == ()


@pytest.mark.parametrize(
    ("factor", "dtype", "highest"),
    [(1, "u2", 255), (16, "u2", 4095), (64, "u2", 16383), (1, "u4", 255), (16, "i4", 4095), (16, "u8", 4095)],
)
def test_integers_of_few_bits_are_stretched_and_say_so(factor: int, dtype: str, highest: int) -> None:
    grey = GREY.copy()
    grey[0, 0] = 255
    loaded = load_image(tiff(grey.astype(dtype) * np.dtype(dtype).type(factor), photometric="minisblack"))
    assert np.abs(np.asarray(loaded)[..., 0] - grey.astype(float)).mean() < 3
    assert loaded.notes == (f"shown with 0 … {highest} as black to white",)


def test_a_png_of_few_bits_is_stretched_as_well() -> None:
    loaded = load_image(encode(Image.fromarray((GREY.astype(np.uint16) << 4) | 15), "PNG"))
    assert np.abs(np.asarray(loaded)[..., 0] - GREY.astype(float)).mean() < 3
    assert "4095" in loaded.notes[0]


def test_a_dark_scan_of_sixteen_bits_stays_dark() -> None:
    loaded = load_image(tiff(GREY.astype(np.uint16) * 120, photometric="minisblack"))
    assert np.abs(np.asarray(loaded)[..., 0] - GREY * (120 / 257)).mean() < 1
    assert loaded.notes == ()


@pytest.mark.parametrize(
    "array",
    [
        (RGB / 255).astype(np.float16),
        (RGB / 255).astype(np.float32),
        RGB / 255,
        RGB.astype(np.uint32) * 16_843_009,
        np.dstack([WIDE, WIDE[..., :2]]),
    ],
    ids=["f2", "f4", "f8", "u4", "five channels"],
)
def test_kinds_that_pillow_does_not_know_are_read_where_they_are_not_packed(array: np.ndarray) -> None:
    assert error(tiff(array, photometric="rgb"), RGB) < 1
    with refused("wrong-file", "TIFF"):
        load_image(tiff(array, photometric="rgb", compression="zlib"))


def test_orientation_is_applied_however_it_is_read() -> None:
    turned = np.ascontiguousarray(np.rot90(WIDE))  # 6: to be turned by 90° clockwise
    for planes in ("contig", "separate"):
        array = separate(turned) if planes == "separate" else turned
        data = tiff(array, photometric="rgb", planarconfig=planes, extratags=[(274, "H", 1, 6, True)])
        assert error(data, RGB) < 1
        assert image_size(data) == (32, 24)


def test_a_float_range_of_its_own_is_told() -> None:
    loaded = load_image(encode(Image.fromarray(np.linspace(-50, 450, 64, dtype=np.float32).reshape(8, 8)), "TIFF"))
    assert loaded.notes == ("shown with -50 … 450 as black to white",)


def test_a_whole_file_of_an_unknown_kind_is_not_called_damaged() -> None:
    data = encode(gradient().convert("YCbCr"), "TIFF")
    with refused("wrong-file", "YCBCR", "TIFF"):
        load_image(data)
    with refused("file-damaged", "truncated"):
        load_image(data[:-100])


def test_a_raw_photo_is_not_taken_for_its_preview() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(RGB, photometric="rgb", subfiletype=1, subifds=1)
        writer.write(WIDE[..., 0].repeat(4, axis=0).repeat(4, axis=1), photometric="minisblack")
    dng = tiff(RGB, photometric="rgb", extratags=[(50706, "B", 4, b"\1\4\0\0", True)])
    for data in (buffer.getvalue(), dng, b"FUJIFILMCCD-RAW 0201" + bytes(300), b"II*\0\x10\0\0\0CR\2\0" + bytes(300)):
        with refused("wrong-file", "raw"):
            load_image(data)
        with refused("wrong-file", "raw"):
            image_size(data)
