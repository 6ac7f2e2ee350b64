"""PNGs that ask for far more than they hold, made by code, and the parts that they are made of."""

import struct
import zlib

SIDE = 8_000
"""Of an image just at the limit of 64 megapixels."""
FULL = 33_000_000
"""Bytes of the largest files, a little below the limit of an upload."""
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


PNG_BOMBS = (
    png_of_few_bytes,
    png_sliver,
    png_ribbon,
    png_text,
    png_profile,
    png_chunks,
    png_data_chunks,
    png_frames,
    png_colour_alpha,
    png_16_bit,
)
