"""What is no usable image is refused: one sentence, before anything is unpacked."""

import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecenet.common.error_codes import ErrorCode
from ecenet.common.errors import UserError
from ecenet.data.images import image_size, load_image
from tests.support.helpers import encode, gradient
from tests.support.refusals import assert_names, refused

RGB = np.asarray(gradient())


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def refusal(code: ErrorCode, source: object, **options: int) -> str:
    with refused(code) as caught:
        load_image(source, **options)  # type: ignore[arg-type]
    return sentence(caught.value)


def sentence(error: UserError) -> str:
    message = str(error)
    assert "\n" not in message
    assert message.endswith(".")
    assert ";" in message, "the part after it says what to do"
    return message


def image_or_refusal(data: bytes) -> Image.Image | str:
    try:
        return load_image(data)
    except UserError as error:
        return sentence(error)


@pytest.mark.parametrize(
    ("array", "code", "named"),
    [
        (RGB.astype(float), "out-of-range", "255"),
        (RGB / 255 - 2, "out-of-range", "-2 to -1"),
        (np.full((8, 8), np.nan), "out-of-range", "nan"),
        (RGB.astype(np.complex64), "invalid-value", "complex64"),
        (RGB.astype(np.int64), "invalid-value", "int64"),
        (RGB.astype(object), "invalid-value", "object"),
        (np.zeros((0, 8, 3), np.uint8), "invalid-value", "(0, 8, 3)"),
        (np.zeros((3, 20, 20), np.uint8), "invalid-value", "(3, 20, 20)"),
        (np.zeros((2, 20, 20, 3), np.uint8), "invalid-value", "(2, 20, 20, 3)"),
        (np.array(7, np.uint8), "invalid-value", "()"),
        (np.zeros((1, 1, 3), np.uint8), "image-too-small", "1×1"),
        (np.zeros((8, 7), np.uint8), "image-too-small", "7×8"),
    ],
)
def test_an_array_that_is_no_image_is_refused_with_what_came(array: np.ndarray, code: ErrorCode, named: str) -> None:
    assert_names(refusal(code, array), named)


def test_an_array_beyond_the_limit_is_refused_before_it_is_converted() -> None:
    huge = np.broadcast_to(np.float16(0.5), (9_000, 9_000))  # one number; a conversion would need 81 MB and more
    tracemalloc.start()
    assert "9000×9000" in refusal("image-too-large", huge)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "notes.png").write_text("just words\n" * 50)
    assert_names(refusal("file-damaged", tmp_path / "empty.jpg"), "empty.jpg", "0 bytes")
    assert_names(refusal("wrong-file", tmp_path / "notes.png"), "notes.png")
    assert_names(refusal("file-missing", tmp_path), "directory")
    assert_names(refusal("file-missing", tmp_path / "gone.png"), "gone.png")
    assert_names(refusal("file-missing", str(tmp_path / "gone.png")), "gone.png", "No such file")
    assert_names(refusal("file-missing", ""), "''")
    refusal("file-missing", "a\0b")
    refusal("file-damaged", b"")
    refusal("wrong-file", b"\x89PNG\r\n\x1a\n")
    assert_names(refusal("invalid-value", None), "NoneType")


def test_an_eps_file_is_refused_without_starting_its_interpreter() -> None:
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n"
    assert_names(refusal("wrong-file", program), "JPEG, PNG, WebP, AVIF, HEIC, GIF, TIFF or BMP")


TRUNCATABLE: dict[str, dict[str, Any]] = {
    "JPEG": {},
    "progressive JPEG": {"progressive": True},
    "PNG": {},
    "WEBP": {},
    "GIF": {},
    "TIFF": {},
    "LZW TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", TRUNCATABLE)
def test_a_file_that_ends_early_is_refused_wherever_it_ends(kind: str) -> None:
    data = encode(gradient(), kind.split()[-1], **TRUNCATABLE[kind])
    complete = np.asarray(load_image(data))
    for length in range(1, len(data), 7):
        loaded = image_or_refusal(data[:length])
        # Only what follows the pixels may be lacking: checksums and end marks.
        assert isinstance(loaded, str) or (len(data) - length < 24 and np.array_equal(np.asarray(loaded), complete))
    # Where the header is whole, the sentence can say more.
    refusal("wrong-file" if kind in ("WEBP", "LZW TIFF") else "file-damaged", data[:-40])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_scrambled_files_give_an_image_or_one_sentence(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    data = encode(gradient(), kind, **({} if kind == "GIF" else {"exif": exif}))
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(150):
        scrambled = bytearray(data)
        for _ in range(3):
            scrambled[rng.integers(len(data) if trial % 2 else min(300, len(data)))] = rng.integers(256)
        refused += isinstance(image_or_refusal(bytes(scrambled)), str)
    assert refused > 5


def test_a_picture_of_one_pixel_is_refused() -> None:
    assert "1×1" in refusal("image-too-small", encode(Image.new("RGB", (1, 1)), "PNG"))
    assert load_image(encode(Image.new("RGB", (8, 8)), "PNG")).size == (8, 8)


def test_too_many_pixels_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    for side in (20_000, 9_000):  # Pillow itself would unpack the second, and warn
        Image.new("1", (side, side)).save(tmp_path / f"{side}.png")
    start = time.process_time()
    assert_names(refusal("image-too-large", tmp_path / "20000.png"), "64 megapixels", "20000.png")
    assert_names(refusal("image-too-large", tmp_path / "9000.png"), "9000.png", "9000×9000", "81 megapixels")
    with refused("image-too-large", "64 megapixels", "9000.png", "9000×9000", limit=64_000_000):
        image_size(tmp_path / "9000.png")
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("side", [9_000, 60_000, 2**31 - 1])
def test_a_header_that_claims_a_giant_size_is_refused(side: int) -> None:
    refusal("image-too-large", png_header(side, side))


def test_the_limit_can_be_set() -> None:
    data = encode(gradient(), "PNG")
    assert load_image(data, max_pixels=32 * 24).size == (32, 24)
    assert "32×24" in refusal("image-too-large", data, max_pixels=32 * 24 - 1)
    assert "32×24" in refusal("image-too-large", gradient(), max_pixels=32 * 24 - 1)
    assert "32×24" in refusal("image-too-large", RGB, max_pixels=32 * 24 - 1)


@pytest.mark.parametrize(("kind", "share"), [("WEBP", 0.6), ("AVIF", 0.6)])
def test_formats_that_take_more_memory_have_fewer_pixels(kind: str, share: float) -> None:
    data = encode(gradient(), kind)
    assert load_image(data, max_pixels=round(32 * 24 / share)).size == (32, 24)
    assert kind in refusal("image-too-large", data, max_pixels=round(32 * 24 / share) - 2)


def test_a_photo_with_a_film_behind_it_is_no_image_of_many_scans() -> None:
    """Phones append one to a JPEG; in its bytes anything may stand."""
    data = encode(gradient(), "JPEG")
    assert load_image(data + b"\xff\xda\0\2" * 1_000_000).size == (32, 24)
