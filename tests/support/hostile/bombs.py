"""Images that ask for far more than they hold, made by code: small on disk, large or endless to whoever opens them."""

import struct
import zlib
from collections.abc import Callable
from itertools import accumulate, repeat

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401  # it registers itself
from PIL import Image

from tests.support.helpers import encode

pillow_heif.register_heif_opener()

SIDE = 8_000
"""Of an image just at the limit of 64 megapixels."""
SMALLER_SIDE = 6_190
"""Of one just at the limit of the formats that may have 0.6 of it."""
FULL = 33_000_000
"""Bytes of the largest files, a little below the limit of an upload."""
JXL_SIDE = 3_570
"""The same of JPEG XL, which may have 0.2."""
BLOCK = 1 << 22
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY_8, GREY_16, COLOUR, COLOUR_ALPHA = (8, 0), (16, 0), (8, 2), (8, 6)
"""(bits, colour type) of a PNG."""


def zeros(count: int) -> bytes:
    """So many zeros, deflated. Blocks of them are alike, so that it takes no time to pack gigabytes."""
    packer = zlib.compressobj(9)
    first = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, wbits=-15)
    again = packer.compress(bytes(BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    blocks = max(0, count // BLOCK - 1)
    end = rest.compress(bytes(count - (blocks + 1) * BLOCK)) + rest.flush() if count >= BLOCK else b""
    if not end:
        return zlib.compress(bytes(count), 9)
    # Adler-32 of zeros: the first sum stays 1, the second counts them.
    return first + again * blocks + end + struct.pack(">HH", count % 65_521, 1)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, kind: tuple[int, int] = GREY_8, *, before: bytes = b"", data: bytes = b"") -> bytes:
    """A PNG of zeros.

    Args:
        before: chunks between header and pixels.
        data: chunks in place of the pixels.
    """
    bits, color = kind
    channels = {0: 1, 2: 3, 6: 4}[color]
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    data = data or png_chunk(b"IDAT", zeros(height * (1 + (width * bits * channels + 7) // 8)))
    return PNG_SIGNATURE + header + before + data + png_chunk(b"IEND", b"")


def png_of_few_bytes() -> bytes:
    """50,000 × 50,000 pixels claimed, next to none there."""
    return png(50_000, 50_000, data=png_chunk(b"IDAT", zlib.compress(b"\0")))


def png_sliver() -> bytes:
    """One pixel high, sixty million wide."""
    return png(60_000_000, 1)


def png_ribbon() -> bytes:
    """As `png_sliver`, but not too narrow to be an image."""
    return png(8_000_000, 8)


def png_text() -> bytes:
    """A compressed text of a gigabyte, and one in Unicode."""
    packed = zeros(1_000_000_000)
    international = b"Comment\0\1\0\0\0" + packed
    return png(64, 64, before=png_chunk(b"zTXt", b"Comment\0\0" + packed) + png_chunk(b"iTXt", international))


def png_profile() -> bytes:
    """A colour profile of a gigabyte."""
    return png(64, 64, before=png_chunk(b"iCCP", b"profile\0\0" + zeros(1_000_000_000)))


def png_chunks() -> bytes:
    """Nearly three million empty chunks before the pixels."""
    return png(64, 64, before=png_chunk(b"abCd", b"") * (FULL // 12))


def png_data_chunks() -> bytes:
    """The pixels in chunks of one byte each: no compression, so that there are many."""
    packed = zlib.compress(bytes(1_400 * 1_401), 0)
    return png(1_400, 1_400, data=b"".join(png_chunk(b"IDAT", packed[at : at + 1]) for at in range(len(packed))))


def png_colour_alpha() -> bytes:
    return png(SIDE, SIDE, COLOUR_ALPHA)


def png_16_bit() -> bytes:
    return png(SIDE, SIDE, GREY_16)


def png_frames() -> bytes:
    """An animated PNG of 300,000 frames."""
    control = b"".join(
        png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, 64, 64, 0, 0, 1, 100, 0, 0))
        + png_chunk(b"fdAT", struct.pack(">I", number + 1) + zlib.compress(bytes(64 * 65)))
        for number in range(0, 600_000, 2)
    )
    return png(64, 64, before=png_chunk(b"acTL", struct.pack(">II", 300_000, 0)), data=control)


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


def tiff_planes() -> bytes:
    """Sixteen bits in a thousand planes of 64 × 64, of which the file holds none."""
    tags = [tag for tag in tiff_tags(64, 64, bits=16) if tag[0] not in (258, 262, 277)]
    tags += [(262, 3, 1, struct.pack("<H", 2)), (277, 3, 1, struct.pack("<H", 1_000))]
    tags += [(258, 3, 1_000, struct.pack("<H", 16) * 1_000), (284, 3, 1, struct.pack("<H", 2))]
    tags += [(273, 4, 1_000, struct.pack("<I", 8) * 1_000), (279, 4, 1_000, struct.pack("<I", 8_192) * 1_000)]
    return tiff([*tags, (278, 4, 1, struct.pack("<I", 64))])


def tiff(tags: list[tuple[int, int, int, bytes]], *, after: bytes = b"", next_ifd: int = 0) -> bytes:
    """A little-endian TIFF of one directory right behind the header.

    Args:
        tags: (tag, type, count, value); values of more than four bytes are placed behind the directory.
        after: what follows them.
    """
    place = 8 + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, kind, count, value in sorted(tags):
        if len(value) > 4:
            entries += struct.pack("<HHII", tag, kind, count, place + len(values))
            values += value
        else:
            entries += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_ifd)
    return b"II*\0" + struct.pack("<I", 8) + directory + values + after


def tiff_tags(
    width: int, height: int, *, bits: int, sample: int = 1, packing: int = 1
) -> list[tuple[int, int, int, bytes]]:
    """Of a greyscale image; where its pixels lie is still missing."""
    short = struct.Struct("<H").pack
    return [
        (256, 4, 1, struct.pack("<I", width)),
        (257, 4, 1, struct.pack("<I", height)),
        (258, 3, 1, short(bits)),
        (259, 3, 1, short(packing)),
        (262, 3, 1, short(1)),
        (277, 3, 1, short(1)),
        (339, 3, 1, short(sample)),
    ]


def packed_tiff(width: int, height: int, *, bits: int, sample: int = 1) -> bytes:
    """Zeros in one deflated strip."""
    data = zeros(width * height * bits // 8)
    tags = tiff_tags(width, height, bits=bits, sample=sample, packing=8)
    tags += [(278, 4, 1, struct.pack("<I", height)), (279, 4, 1, struct.pack("<I", len(data)))]
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    return tiff([*tags, (273, 4, 1, struct.pack("<I", start))], after=data)


def tiff_float() -> bytes:
    return packed_tiff(SIDE, SIDE, bits=32, sample=3)


def tiff_16_bit() -> bytes:
    return packed_tiff(SIDE, SIDE, bits=16)


def tiff_deflate() -> bytes:
    """A strip that unpacks to far more than its image needs: two gigabytes for 64 × 64 pixels."""
    data = zeros(2_000_000_000)
    tags = [*tiff_tags(64, 64, bits=8, packing=8), (278, 4, 1, struct.pack("<I", 64))]
    tags.append((279, 4, 1, struct.pack("<I", len(data))))
    return tiff([*tags, (273, 4, 1, struct.pack("<I", 8 + 2 + 12 * 10 + 4))], after=data)


def tiff_tiles() -> bytes:
    """Eight million tiles, all at the same place."""
    count = FULL // 4
    tags = [*tiff_tags(8_000, 8_000, bits=8), (322, 4, 1, struct.pack("<I", 1)), (323, 4, 1, struct.pack("<I", 1))]
    return tiff([*tags, (324, 4, count, struct.pack("<I", 8) * count)])


def tiff_cycle() -> bytes:
    """A directory whose successor is itself."""
    tags = [*tiff_tags(64, 64, bits=8), (278, 4, 1, struct.pack("<I", 64)), (279, 4, 1, struct.pack("<I", 4096))]
    return tiff([*tags, (273, 4, 1, struct.pack("<I", 8))], after=bytes(5_000), next_ifd=8)


def tiff_directories() -> bytes:
    """Two million directories, of which the first is an image."""
    count = 2_000_000
    tags = [*tiff_tags(64, 64, bits=8), (278, 4, 1, struct.pack("<I", 64)), (279, 4, 1, struct.pack("<I", 4096))]
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    first = tiff([*tags, (273, 4, 1, struct.pack("<I", 8))], next_ifd=start)
    places = accumulate(repeat(18, count), initial=start)
    entry = struct.pack("<HHHII", 1, 256, 4, 1, 64)
    return first + b"".join(entry + struct.pack("<I", place + 18) for place in places)


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
        png_of_few_bytes, png_sliver, png_ribbon, png_text, png_profile, png_chunks, png_data_chunks, png_frames,
        png_colour_alpha, png_16_bit, gif_frames, gif_comment, webp_frames, webp_of_few_bytes, webp_at_limit,
        avif_at_limit, heic_at_limit, heic_of_few_bytes, heic_larger_than_told, jxl_at_limit, jxl_of_few_bytes,
        tiff_planes, tiff_float, tiff_16_bit, tiff_deflate, tiff_tiles, tiff_cycle, tiff_directories, bmp_runs,
        bmp_tiny_runs, bmp_of_few_bytes, jpeg_markers, jpeg_scans, jpeg_at_limit, ppm_values,
    )
}  # fmt: skip
