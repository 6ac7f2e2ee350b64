"""Chunks of a PNG."""

import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
"""Without these, or with damaged ones, there is no right picture."""
COLOR_CHUNKS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"iCCP": None, b"cICP": 4}
"""What says how colours are meant, and the bytes that it must have."""
MAX_CHUNKS = 100_000


def without_damaged_details(content: bytes, *, profile: bool) -> bytes:
    """A PNG with its pixels and what is whole of what describes their colours; nothing else, such as texts.

    Where Pillow stumbles over a detail (a wrong checksum of a text, a resolution that is too short), browsers go on.
    Pixels with a wrong checksum stay as they are, and are found to be damaged by whoever reads them.

    Args:
        profile: keep the colour profile, where its checksum is right.
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
    """(kind, the chunk with its length and checksum), as far as they can be followed."""
    place = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        if len(kind) < 4:
            return
        yield kind, content[place : place + 12 + length]
        place += 12 + length


def grey_bits(head: bytes) -> int | None:
    """Bits of a pixel where a PNG is greyscale, else None.

    Args:
        head: the first 26 bytes.
    """
    return head[24] if head.startswith(SIGNATURE) and len(head) > 25 and head[25] == 0 else None


def is_16_bit(head: bytes) -> bool:
    """Whether each channel of a PNG has 16 bits."""
    return head.startswith(SIGNATURE) and len(head) > 24 and head[24] == 16
