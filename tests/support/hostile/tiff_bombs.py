"""TIFFs that ask for far more than they hold, made by code."""

import struct
from itertools import accumulate, repeat

from tests.support.hostile.png_bombs import FULL, SIDE, zeros


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


TIFF_BOMBS = (tiff_planes, tiff_float, tiff_16_bit, tiff_deflate, tiff_tiles, tiff_cycle, tiff_directories)
