"""What can be shown of a file that is not as it should be is shown, and transparency never hides it."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecenet.data.images import image_size, load_image
from tests.support.helpers import encode, gradient
from tests.support.refusals import refused

RGB = np.asarray(gradient())
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes, *, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)


def png_with(extra: bytes, *, at_end: bool = False) -> bytes:
    data = encode(gradient(), "PNG")
    place = len(data) - 12 if at_end else 33
    return data[:place] + extra + data[place:]


BAD_CHUNKS = {
    "checksum of a text": chunk(b"tEXt", b"Title\0me", checksum=7),
    "checksum of pHYs": chunk(b"pHYs", bytes(9), checksum=7),
    "short pHYs": chunk(b"pHYs", bytes(3)),
    "short cHRM": chunk(b"cHRM", bytes(9)),
    "short gAMA": chunk(b"gAMA", b"\0"),
    "empty gAMA": chunk(b"gAMA", b""),
    "empty sRGB": chunk(b"sRGB", b""),
    "unknown packing of a text": chunk(b"zTXt", b"Title\0\7xxx"),
    "unknown packing of a profile": chunk(b"iCCP", b"p\0\7xxx"),
    "a profile that is not packed": chunk(b"iCCP", b"p\0\0xxx"),
    "empty profile": chunk(b"iCCP", b""),
    "texts named like Pillow's own": chunk(b"tEXt", b"transparency\0x") + chunk(b"tEXt", b"icc_profile\0x"),
    "numbers that are texts": chunk(b"tEXt", b"gamma\0x") + chunk(b"tEXt", b"chromaticity\0x"),
}


@pytest.mark.parametrize("at_end", [False, True], ids=["before the pixels", "behind them"])
@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_one_bad_side_chunk_does_not_cost_a_png(name: str, at_end: bool) -> None:
    data = png_with(BAD_CHUNKS[name], at_end=at_end)
    assert np.array_equal(np.asarray(load_image(data)), RGB)
    assert image_size(data) == (32, 24)


def test_what_was_set_aside_is_told() -> None:
    assert "metadata" in load_image(png_with(BAD_CHUNKS["short pHYs"])).notes[0]
    assert load_image(png_with(b"")).notes == ()


def test_damaged_pixels_of_a_png_stay_refused() -> None:
    data = bytearray(png_with(BAD_CHUNKS["short pHYs"]))
    data[-30] ^= 1
    with refused("wrong-file"):
        load_image(bytes(data))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG", "AVIF"])
@pytest.mark.parametrize("exif", [b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_broken_exif_does_not_cost_the_photo(kind: str, exif: bytes) -> None:
    if kind == "AVIF":
        whole = Image.Exif()
        whole[0x0112] = 1
        data = encode(gradient(), kind, quality=100, subsampling="4:4:4", exif=whole)
        data = data.replace(b"II*\0", b"xx*\0").replace(b"MM\0*", b"xx\0*")
    else:
        data = encode(gradient(), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {"quality": 97}))
    assert np.abs(np.asarray(load_image(data)).astype(int) - RGB).mean() < 6, "what lossy files may differ by"
    assert image_size(data) == (32, 24)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_a_jpeg_that_lacks_its_end_is_shown_to_people(options: dict[str, object]) -> None:
    data = encode(gradient(64, 48), "JPEG", quality=95, **options)
    whole = np.asarray(load_image(data))
    loaded = load_image(data[:-2], partial=True)
    assert np.array_equal(np.asarray(loaded), whole)
    assert loaded.notes == ("the end of the file is missing",)
    with refused("file-damaged"):
        load_image(data[:-2])
    assert load_image(data, partial=True).notes == ()


def test_rows_that_are_there_are_shown() -> None:
    data = encode(gradient(64, 480), "JPEG", quality=95)
    loaded = np.asarray(load_image(data[: len(data) // 2], partial=True))
    whole = np.asarray(load_image(data))
    assert loaded.shape == whole.shape
    assert np.array_equal(loaded[:160], whole[:160])
    assert not np.array_equal(loaded[320:], whole[320:])


def test_a_jpeg_without_any_pixels_stays_refused() -> None:
    data = encode(gradient(), "JPEG")
    with refused("wrong-file"):
        load_image(data[: data.index(b"\xff\xda")], partial=True)


def test_a_jpeg_of_12_bits_is_not_called_damaged(tmp_path: Path) -> None:
    data = bytearray(encode(gradient(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    (tmp_path / "scan.jpg").write_bytes(data)
    with refused("wrong-file", "scan.jpg", "12", "JPEG"):
        load_image(tmp_path / "scan.jpg")


def raw_png(values: np.ndarray, *, bits: int, color: int, transparent: bytes) -> bytes:
    """Greyscale (color 0) or RGB (2) of 16, or greyscale of 2 or 4 bits."""
    height, width = values.shape[:2]
    if bits == 16:
        rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        per_byte = 8 // bits
        grouped = values.reshape(height, width // per_byte, per_byte)
        shifts = np.array([8 - bits * (place + 1) for place in range(per_byte)])
        rows = (grouped << shifts).sum(axis=-1).astype(np.uint8)
    packed = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    return SIGNATURE + b"".join(
        (chunk(b"IHDR", header), chunk(b"tRNS", transparent), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    )


def test_a_transparent_value_of_a_png_becomes_white_in_every_depth() -> None:
    for bits in (2, 4, 16):
        top = (1 << bits) - 1
        values = np.full((16, 16), top // 3)
        values[:8] = 0
        loaded = np.asarray(load_image(raw_png(values, bits=bits, color=0, transparent=struct.pack(">H", 0))))
        assert (loaded[:8] == 255).all(), bits
        if bits < 16:  # of those the full range is known
            assert (loaded[8:] == 85).all(), bits
        loaded = np.asarray(load_image(raw_png(values, bits=bits, color=0, transparent=struct.pack(">H", top // 3))))
        assert (loaded[8:] == 255).all(), bits
        assert (loaded[:8] == 0).all(), bits
    colors = np.zeros((16, 16, 3), np.uint16)
    colors[:8] = (0x1234, 0x5678, 0x9ABC)
    loaded = np.asarray(load_image(raw_png(colors, bits=16, color=2, transparent=struct.pack(">3H", *colors[0, 0]))))
    assert (loaded[:8] == 255).all()
    assert (loaded[8:] == 0).all()


def test_around_a_first_frame_that_is_smaller_than_its_screen_it_is_white() -> None:
    frame = Image.new("P", (16, 16), 1)
    frame.putpalette([255, 0, 0, 0, 0, 255])
    data = bytearray(encode(frame, "GIF"))
    data[6:10] = struct.pack("<HH", 40, 32)  # the screen
    place = data.index(b",\0\0\0\0\x10\0\x10\0")
    data[place + 1 : place + 5] = struct.pack("<HH", 8, 4)  # left, top
    expected = np.full((32, 40, 3), 255)
    expected[4:20, 8:24] = (0, 0, 255)
    assert np.array_equal(np.asarray(load_image(bytes(data))), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_white_drawings_on_transparency_are_shown_on_black(mode: str) -> None:
    alpha = np.zeros((40, 40), np.uint8)
    alpha[18:22] = 255
    alpha[:, 10] = 128
    image = Image.new("L", (40, 40), 250)
    image.putalpha(Image.fromarray(alpha))
    loaded = load_image(encode(image.convert(mode), "PNG"))
    assert np.abs(np.asarray(loaded)[..., 0] - alpha * (250 / 255)).max() <= 1
    assert "black" in loaded.notes[0]


def test_dark_drawings_photos_and_empty_pictures_are_shown_on_white() -> None:
    alpha = Image.fromarray(np.eye(32, dtype=np.uint8)[:24] * 255)
    for image in (Image.new("RGB", (32, 24), (30, 30, 30)), gradient()):
        image.putalpha(alpha)
        assert np.asarray(load_image(image))[0, 1].tolist() == [255, 255, 255]
        assert load_image(image).notes == ()
    for opacity in (0, 255):
        plain = Image.new("RGBA", (32, 24), (255, 255, 255, opacity))
        assert (np.asarray(load_image(plain)) == 255).all()
        assert load_image(plain).notes == ()
