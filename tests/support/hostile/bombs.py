"""Images that ask for far more than they hold, made by code: small on disk, large or endless to whoever opens them."""

import struct
from collections.abc import Callable

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # it registers itself
from PIL import Image

from tests.support.helpers import encode
from tests.support.hostile.png_bombs import FULL, PNG_BOMBS, SIDE
from tests.support.hostile.tiff_bombs import TIFF_BOMBS

pillow_heif.register_heif_opener()

SMALLER_SIDE = 6_190
"""Of one just at the limit of the formats that may have 0.6 of it."""
JXL_SIDE = 3_570
"""The same of JPEG XL, which may have 0.2."""


def gif(*, before: bytes, frames: int) -> bytes:
    """Frames of 64 × 64 pixels.

    Args:
        before: blocks between header and frames.
    """
    image = encode(Image.new("P", (64, 64)), "GIF")
    start = image.index(b",\0\0\0\0")  # the image descriptor
    return image[:start] + before + image[start:-1] * frames + b";"


def gif_frames() -> bytes:
    return gif(before=b"", frames=300_000)


def gif_comment() -> bytes:
    """One comment of 32 MB in blocks of 255 bytes: to join them one by one takes minutes."""
    return gif(before=b"!\xfe" + (b"\xff" + bytes(255)) * (FULL // 256) + b"\0", frames=1)


def webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp_frames() -> bytes:
    """An animated WebP of half a million frames."""
    still = encode(Image.new("RGB", (64, 64)), "WEBP", lossless=True)[12:]
    header = webp_chunk(b"VP8X", b"\2\0\0\0" + struct.pack("<I", 63)[:3] * 2)
    frame = webp_chunk(b"ANMF", bytes(6) + struct.pack("<I", 63)[:3] * 2 + b"\x64\0\0\0" + still)
    body = b"WEBP" + header + webp_chunk(b"ANIM", bytes(6)) + frame * (FULL // len(frame))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_of_few_bytes() -> bytes:
    """The largest that a WebP can claim: 16,384 × 16,384."""
    packed = bytearray(encode(Image.new("RGB", (64, 64)), "WEBP", lossless=True))
    packed[21:25] = struct.pack("<I", 16_383 | 16_383 << 14)
    return bytes(packed)


def webp_at_limit() -> bytes:
    return encode(Image.new("RGB", (SMALLER_SIDE, SMALLER_SIDE)), "WEBP", lossless=True, quality=0, method=0)


def avif_at_limit() -> bytes:
    return encode(Image.new("RGB", (SMALLER_SIDE, SMALLER_SIDE)), "AVIF", speed=10)


def heic_at_limit() -> bytes:
    return encode(Image.new("RGB", (SMALLER_SIDE, SMALLER_SIDE)), "HEIF", quality=1)


def heic_of_few_bytes() -> bytes:
    """Its header claims 50,000 × 50,000."""
    return _heic_claiming(50_000)


def heic_larger_than_told() -> bytes:
    """Of 4,000 × 4,000 in a header of 64 × 64."""
    return _heic_claiming(64, side=4_000)


def _heic_claiming(claimed: int, *, side: int = 64) -> bytes:
    data = encode(Image.new("RGB", (side, side)), "HEIF", quality=1)
    return data.replace(struct.pack(">II", side, side), struct.pack(">II", claimed, claimed))


def jxl_at_limit() -> bytes:
    return encode(Image.new("RGBA", (JXL_SIDE, JXL_SIDE)), "JXL", lossless=True, effort=1)


def jxl_of_few_bytes() -> bytes:
    """Claims 2³⁰ × 2³⁰: sides of 30 bits, and the ratio 1:1."""
    return b"\xff\x0a" + (0b11 << 1 | (2**30 - 1) << 3 | 1 << 33).to_bytes(200, "little")


def bmp(width: int, height: int, *, packing: int, data: bytes) -> bytes:
    """Of 8 bits and a grey palette; packing 1 is run-length."""
    palette = b"".join(bytes((value, value, value, 0)) for value in range(256))
    start = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, packing, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def bmp_runs() -> bytes:
    """Eight rows of eight million pixels, run-length packed, each ended by one code."""
    return bmp(8_000_000, 8, packing=1, data=b"\1\0\0\0" * 8 + b"\0\1")


def bmp_tiny_runs() -> bytes:
    """Run-length packed in runs of one pixel, or of none once a row is full."""
    return bmp(SIDE, SIDE, packing=1, data=b"\1\0" * (FULL // 2))


def bmp_of_few_bytes() -> bytes:
    return bmp(2_000_000, 2_000_000, packing=1, data=b"\0\1")


def jpeg_markers() -> bytes:
    """Eight million segments that say nothing."""
    image = encode(Image.new("L", (64, 64)), "JPEG")
    return image[:2] + b"\xff\xe9\0\2" * (FULL // 4) + image[2:]


def jpeg_scans() -> bytes:
    """A progressive image of 64 megapixels whose last scan comes ten thousand times more."""
    image = encode(Image.new("L", (SIDE, SIDE), 77), "JPEG", progressive=True)
    last = image.rindex(b"\xff\xc4")  # its Huffman table comes before the scan
    return image[:-2] + image[last:-2] * 10_000 + image[-2:]


def jpeg_at_limit() -> bytes:
    """Four channels and 18 scans: libjpeg keeps all coefficients, and goes over them as often."""
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 4), dtype=np.uint8)
    tiles = Image.fromarray(np.tile(noise, (74, 74, 1)), "CMYK")
    return encode(tiles, "JPEG", progressive=True, quality=5)


def ppm_values() -> bytes:
    """Values that reach to 254 instead of 255, each of which is scaled by itself."""
    return b"P6 3300 3300 254\n" + bytes(3_300 * 3_300 * 3)


BOMBS: dict[str, Callable[[], bytes]] = {
    make.__name__.replace("_", " "): make
    for make in (
        *PNG_BOMBS, gif_frames, gif_comment, webp_frames, webp_of_few_bytes, webp_at_limit, avif_at_limit,
        heic_at_limit, heic_of_few_bytes, heic_larger_than_told, jxl_at_limit, jxl_of_few_bytes, *TIFF_BOMBS, bmp_runs,
        bmp_tiny_runs, bmp_of_few_bytes, jpeg_markers, jpeg_scans, jpeg_at_limit, ppm_values,
    )
}  # fmt: skip
