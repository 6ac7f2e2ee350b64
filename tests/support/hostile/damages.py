"""Ways to damage the bytes of a file."""

import random
import struct

import pillow_jxl  # noqa: F401  # it registers itself

from tests.support.hostile.png_bombs import PNG_SIGNATURE, png_chunk

EXTREMES = (0, 1, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def damaged(content: bytes, rng: random.Random, *, other: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice((_flip, _flip_header, _cut, _wrong_size, _swap, _repeat, _remove, _splice))(data, rng, other)
    return bytes(data)


def _flip(data: bytearray, rng: random.Random, other: bytes) -> None:
    for _ in range(rng.randint(1, 12)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _flip_header(data: bytearray, rng: random.Random, other: bytes) -> None:
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(min(64, len(data)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _cut(data: bytearray, rng: random.Random, other: bytes) -> None:
    del data[rng.randint(1, len(data)) :]


def _wrong_size(data: bytearray, rng: random.Random, other: bytes) -> None:
    """A number near the start, where sizes, counts and offsets are, or near the end, where a zip has them."""
    order, width = rng.choice("<>"), rng.choice((2, 4))
    value = rng.choice((*EXTREMES, rng.randrange(1 << 16))) & ((1 << 8 * width) - 1)
    place = rng.randrange(min(256, len(data)))
    place = len(data) - 1 - place if rng.random() < 0.3 else place
    data[place : place + width] = struct.pack(order + {2: "H", 4: "I"}[width], value)


def _swap(data: bytearray, rng: random.Random, other: bytes) -> None:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    data[a:c] = data[b:c] + data[a:b]


def _repeat(data: bytearray, rng: random.Random, other: bytes) -> None:
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice((4, 20, 300))]
    data[start:start] = part * rng.choice((1, 10, 1000))


def _remove(data: bytearray, rng: random.Random, other: bytes) -> None:
    start = rng.randrange(len(data))
    del data[max(1, start) : start + rng.choice((1, 4, 100))]


def _splice(data: bytearray, rng: random.Random, other: bytes) -> None:
    data[rng.randint(1, len(data)) :] = other[rng.randrange(len(other)) :]


def with_checksums(content: bytes) -> bytes:
    """A PNG whose chunks are right again, as far as they can be followed: else a reader looks no further."""
    repaired, place = PNG_SIGNATURE, len(PNG_SIGNATURE)
    while place + 12 <= len(content):
        length = min(int.from_bytes(content[place : place + 4], "big"), len(content) - place - 12)
        repaired += png_chunk(content[place + 4 : place + 8], content[place + 8 : place + 8 + length])
        place += 12 + length
    return repaired + content[place:]
