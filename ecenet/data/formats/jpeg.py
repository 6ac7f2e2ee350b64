"""Parsing of the segments of a JPEG."""

import re
from typing import NamedTuple

MARKER = re.compile(rb"\xff+([\x02-\xcf\xd9-\xfe])")
"""Marker of the end or of a segment with a length. Other markers are irrelevant, and in a scan 0xff is followed by
0."""
END = b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)


class Segments(NamedTuple):
    total: int
    scans: int
    """Number of scans; a progressive JPEG has up to 18."""
    ended: bool
    """Whether the end marker is present."""
    unusual: str
    """A feature that common decoders do not support, or ""."""


def read_segments(content: bytes, *, most: int) -> Segments:
    """Parse up to `most` segments of an image."""
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
            unusual = "lossless" if found[1][0] in LOSSLESS else f"with {bits} bits per channel" if bits != 8 else ""
        place = body + int.from_bytes(content[body : body + 2], "big")
    return Segments(count, scans, count > most, unusual)
