"""Colours that a file specifies by numbers instead of a profile: gamma and primaries of PNG, and code points (ITU-T
H.273) of AVIF, HEIC and PNG, including high dynamic range."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

Curve = Callable[[np.ndarray], np.ndarray]
"""Function from coded values 0 … 1 to linear light, in which 1 is paper white."""

PRIMARIES = {
    1: (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    9: (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""(x, y) of white, red, green and blue by code point: BT.709 (sRGB), BT.2020, DCI-P3, Display P3."""
PQ, HLG = 16, 18
PAPER_WHITE = 203.0
"""In candela per square metre (ITU-R BT.2408)."""
HLG_PEAK = 1000.0
"""Peak of the display for which HLG is defined, in candela per square metre."""
KNEE = 0.7
"""Linear light above which high dynamic range is compressed."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
SRGB_GAMMA = 1 / 2.2
HDR_NOTE = "high dynamic range with compressed highlights"


class Coding(NamedTuple):
    """Conversion of 8-bit RGB to sRGB."""

    curve: Curve
    matrix: np.ndarray
    """(3, 3) matrix from linear RGB to linear sRGB."""
    hdr: bool = False

    def to_srgb(self, band: Image.Image) -> Image.Image:
        """Convert a band from RGB to sRGB."""
        table = self.curve(np.arange(256) / 255).astype(np.float32)
        linear = table[np.asarray(band)]
        if self.hdr:
            linear = _compressed(linear)
        linear = (linear @ self.matrix.T.astype(np.float32)).clip(0, 1)
        coded = SRGB_TABLE[(linear * (len(SRGB_TABLE) - 1) + 0.5).astype(np.uint16)]
        return Image.fromarray(coded)


def png_coding(info: dict[str | tuple[int, int], object]) -> Coding | None:
    """Return the coding given by the chunks gAMA and cHRM, or None if they are missing, specify sRGB, or are overridden
    by the chunk sRGB."""
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    if not isinstance(gamma, float) or not 0.05 < gamma < 5 or "srgb" in info:
        return None
    matrix = np.eye(3)
    if isinstance(chromaticity, tuple) and len(chromaticity) == 8:
        matrix = _to_srgb_matrix(chromaticity)
    if abs(gamma - SRGB_GAMMA) < 0.01 and np.abs(matrix - np.eye(3)).max() < 0.02:
        return None
    curve = _from_srgb if abs(gamma - SRGB_GAMMA) < 0.01 else _power(1 / gamma)
    return Coding(curve, matrix) if np.isfinite(matrix).all() else None


def code_points(content: bytes) -> tuple[int, int] | None:
    """Return the (primaries, transfer) code points near the start of an AVIF or PNG, or None."""
    for mark in (b"colrnclx", b"cICP"):
        place = content.find(mark)
        if place >= 0:
            body = content[place + len(mark) : place + len(mark) + 4]
            width = 2 if mark == b"colrnclx" else 1
            if len(body) == 4:
                return int.from_bytes(body[:width], "big"), int.from_bytes(body[width : 2 * width], "big")
    return None


def coding_of(primaries: int, transfer: int) -> Coding | None:
    """Return the coding of code points, or None if they are those of sRGB or unknown; browsers then assume sRGB as
    well."""
    matrix = _to_srgb_matrix(PRIMARIES.get(primaries, PRIMARIES[1]))
    if transfer == PQ:
        return Coding(_from_pq, matrix, hdr=True)
    if transfer == HLG:
        return Coding(_from_hlg, matrix, hdr=True)
    curve = {4: _power(2.2), 5: _power(2.8), 8: _power(1.0)}.get(transfer, _from_srgb)
    if curve is _from_srgb and np.abs(matrix - np.eye(3)).max() < 0.01:
        return None
    return Coding(curve, matrix)


def _to_srgb_matrix(chromaticity: Sequence[float]) -> np.ndarray:
    """Return the matrix to linear sRGB with Bradford adaptation of white, as in ICC profiles; NaN for invalid
    primaries."""
    own, srgb = np.array(chromaticity, dtype=float), np.array(PRIMARIES[1])
    with np.errstate(all="ignore"):
        try:
            adapted = _adaptation(_white(own), _white(srgb)) @ _to_xyz(own)
            return np.linalg.inv(_to_xyz(srgb)) @ adapted
        except np.linalg.LinAlgError:  # primaries on one line
            return np.full((3, 3), np.nan)


def _white(chromaticity: np.ndarray) -> np.ndarray:
    """Return the white point in XYZ with luminance 1."""
    x, y = chromaticity[:2]
    return np.array([x / y, 1, (1 - x - y) / y])


def _adaptation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ target) / (BRADFORD @ source)) @ BRADFORD


def _to_xyz(chromaticity: np.ndarray) -> np.ndarray:
    """Return the (3, 3) matrix from linear RGB to XYZ."""
    x, y = chromaticity[2::2], chromaticity[3::2]
    columns = np.stack([x / y, np.ones(3), (1 - x - y) / y])
    return columns * np.linalg.solve(columns, _white(chromaticity))


def _power(exponent: float) -> Curve:
    return lambda coded: coded**exponent


def _from_srgb(coded: np.ndarray) -> np.ndarray:
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _from_pq(coded: np.ndarray) -> np.ndarray:
    """Decode PQ (SMPTE ST 2084)."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = coded ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * (10_000 / PAPER_WHITE)


def _from_hlg(coded: np.ndarray) -> np.ndarray:
    """Decode HLG (ITU-R BT.2100); the display gamma of 1.2 is applied to each channel, which is correct for greys."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return scene**1.2 * (HLG_PEAK / PAPER_WHITE)


def _compressed(linear: np.ndarray) -> np.ndarray:
    """Compress the brightest channel to below 1 and the others in proportion, which preserves the hue."""
    brightest = linear.max(axis=-1, keepdims=True)
    over = np.maximum(brightest, KNEE)
    pressed = 1 - (1 - KNEE) ** 2 / (over + 1 - 2 * KNEE)
    return linear * (pressed / over)


def _srgb_table() -> np.ndarray:
    """Return a table of sRGB values for linear light in steps of 1/65535."""
    linear = np.linspace(0, 1, 65536)
    coded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (coded * 255).round().astype(np.uint8)


SRGB_TABLE = _srgb_table()
