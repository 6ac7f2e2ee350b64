"""Parsing of the chunks of a PNG."""

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Chunks that are required for correct pixels."""
COLOR_CHUNKS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"iCCP": None, b"cICP": 4}
"""Chunks that define colours, with their required sizes."""
MAX_CHUNKS = 100_000


def without_damaged_details(content: bytes, *, profile: bool) -> bytes:
    """Return a PNG with its pixels and its undamaged colour chunks only.

    Pillow rejects files with damaged metadata (such as a wrong checksum of a text, or a truncated resolution), which
    browsers ignore. Pixels with a wrong checksum are kept, so that reading them fails.

    Args:
        profile: keep the colour profile if its checksum is correct.
    """
    parts = [SIGNATURE]
    for kind, chunk in _chunks(content):
        body = chunk[8:-4]
        if kind in PIXEL_CHUNKS:
            parts.append(chunk)
        elif kind in COLOR_CHUNKS and (profile or kind != b"iCCP"):
            whole = zlib.crc32(kind + body) == int.from_bytes(chunk[-4:], "big")
            if whole and COLOR_CHUNKS[kind] in (None, len(body)):
                parts.append(chunk)
    return b"".join(parts)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, chunk with length and checksum), as far as the file can be parsed."""
    place = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        if len(kind) < 4:
            return
        yield kind, content[place : place + 12 + length]
        place += 12 + length


def grey_bits(head: bytes) -> int | None:
    """Return the bits per pixel of a greyscale PNG, or None for others.

    Args:
        head: the first 26 bytes.
    """
    return head[24] if head.startswith(SIGNATURE) and len(head) > 25 and head[25] == 0 else None


def is_16_bit(head: bytes) -> bool:
    """Return whether a PNG has 16 bits per channel."""
    return head.startswith(SIGNATURE) and len(head) > 24 and head[24] == 16
