"""Segments of a JPEG."""

import re
from typing import NamedTuple

MARKER = re.compile(rb"\xff+([\x02-\xcf\xd9-\xfe])")
"""Of a segment with a length, or of the end: those without say nothing, and in a scan 0xff is followed by 0."""
END = b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)


class Segments(NamedTuple):
    total: int
    scans: int
    """Among the total; a progressive JPEG has up to 18."""
    ended: bool
    """Whether the mark of the end is there."""
    unusual: str
    """What keeps common decoders from it; empty where nothing does."""


def read_segments(content: bytes, *, most: int) -> Segments:
    """Up to the end of the image, and no further than `most` segments."""
    count = scans = 0
    unusual = ""
    place = 2
    while count <= most and (found := MARKER.search(content, place)):
        if found[1] == b"\xd9":
            return Segments(count, scans, True, unusual)
        count += 1
        scans += found[1] == b"\xda"
        body = found.end()
        if found[1][0] in FRAMES:
            bits = content[body + 2] if len(content) > body + 2 else 8
            unusual = "lossless" if found[1][0] in LOSSLESS else f"of {bits} bits a channel" if bits != 8 else ""
        place = body + int.from_bytes(content[body : body + 2], "big")
    return Segments(count, scans, count > most, unusual)
