"""Detection of the file type by the first bytes."""

import struct
from typing import Literal

from ecenet.data.formats.png import SIGNATURE as PNG_SIGNATURE

Kind = Literal["JPEG", "PNG", "HEIF", "JXL", "TIFF", "raw", "other"]

HEAD_BYTES = 64
"""Number of bytes that `kind_of` needs."""
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
NEUTRAL_BRANDS = (b"mif1", b"msf1")
"""Brands of both HEIF and AVIF, which are distinguished by the compatible brands."""
RAW_STARTS = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
"""Raw files of Panasonic, Olympus, Fujifilm, Sigma and Minolta."""


def kind_of(head: bytes) -> Kind:
    """Return the type of a file.

    Args:
        head: the first `HEAD_BYTES` of the file.
    """
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(PNG_SIGNATURE):
        return "PNG"
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")):
        return "JXL"
    if head.startswith(RAW_STARTS) or head[8:10] == b"CR" or head[4:12] == b"ftypcrx ":  # the last two are Canon's
        return "raw"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    return "HEIF" if _is_heif(head) else "other"


def _is_heif(head: bytes) -> bool:
    if head[4:8] != b"ftyp":
        return False
    brands = [head[place : place + 4] for place in range(16, min(len(head), struct.unpack(">I", head[:4])[0]), 4)]
    if head[8:12] in NEUTRAL_BRANDS:
        return b"avif" not in brands
    return head[8:12] in HEIF_BRANDS
