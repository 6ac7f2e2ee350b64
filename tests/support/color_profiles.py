"""Small ICC profiles made by hand, and the conversion that they stand for, in numpy."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Curve = Callable[[np.ndarray], np.ndarray]
D50 = np.array([0.9642, 1.0, 0.8249])
D65 = (0.3127, 0.3290)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_decode(coded: np.ndarray) -> np.ndarray:
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def power(gamma: float) -> Curve:
    return lambda coded: coded**gamma


@dataclass(frozen=True)
class Space:
    """Of RGB colours: primaries and white as (x, y), and the curve from coded values to light."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]
    curve: Curve

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3), linear RGB → XYZ whose white is D50, as in an ICC profile."""
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (self.red, self.green, self.blue)]).T
        x, y = self.white
        white = np.array([x / y, 1, (1 - x - y) / y])
        to_xyz = columns * np.linalg.solve(columns, white)
        cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
        return np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ to_xyz

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 → what a screen of sRGB is to show, uint8."""
        linear = self.curve(pixels / 255) @ (np.linalg.inv(SRGB.matrix) @ self.matrix).T
        return (srgb_encode(linear) * 255).round().astype(np.uint8)

    def profile(self) -> bytes:
        coded = (self.curve(np.linspace(0, 1, 1024)) * 65535).round().astype(">u2")
        curve = b"curv" + bytes(4) + struct.pack(">I", len(coded)) + coded.tobytes()
        tags = {f"{name}XYZ": _xyz(column) for name, column in zip("rgb", self.matrix.T, strict=True)}
        return icc(b"RGB ", b"XYZ ", tags | {f"{name}TRC": curve for name in "rgb"})


SRGB = Space((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65, srgb_decode)
DISPLAY_P3 = Space((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65, srgb_decode)
ADOBE_RGB = Space((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65, power(563 / 256))
PROPHOTO = Space((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585), power(1.8))
LINEAR = Space((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65, power(1.0))
SWAPPED = Space((0.15, 0.06), (0.30, 0.60), (0.64, 0.33), D65, srgb_decode)
"""Red and blue."""
BT2020 = Space((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65, srgb_decode)


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return icc(b"GRAY", b"XYZ ", {"kTRC": curve})


def cmyk_profile(inks: dict[str, tuple[float, float, float]]) -> bytes:
    """Of a printer on which one full ink has these (L, a, b), paper is white, and all other mixtures are black.

    Args:
        inks: by `c`, `m`, `y` and `k`.
    """
    corners = np.zeros((2, 2, 2, 2, 3))
    corners[..., 1:] = 128
    for place, name in (((0, 0, 0, 0), ""), *(((tuple(np.eye(4, dtype=int)[i])), "cmyk"[i]) for i in range(4))):
        light, a, b = inks.get(name, (0, 0, 0)) if name else (100, 0, 0)
        corners[place] = light * 255 / 100, a + 128, b + 128
    straight = np.arange(256, dtype=np.uint8).tobytes()
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    head = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + identity
    return icc(
        b"CMYK", b"Lab ", {"A2B0": head + straight * 4 + corners.round().astype(np.uint8).tobytes() + straight * 3}
    )


def lab_to_srgb(lab: tuple[float, float, float]) -> np.ndarray:
    """(3,) 0 … 255."""
    light, a, b = lab
    y = (light + 16) / 116
    cubes = np.array([y + a / 500, y, y - b / 200])
    xyz = D50 * np.where(cubes > 6 / 29, cubes**3, (cubes - 4 / 29) * 3 * (6 / 29) ** 2)
    return srgb_encode(np.linalg.inv(SRGB.matrix) @ xyz) * 255


def icc(colors: bytes, connection: bytes, tags: dict[str, bytes]) -> bytes:
    """A profile of version 2: of a printer where it has a table, else of a display."""
    kind = b"prtr" if "A2B0" in tags else b"mntr"
    tags = {"wtpt": _xyz(D50), "desc": b"desc" + bytes(4) + struct.pack(">I", 1) + bytes(79), **tags}
    place, table, values = 128 + 4 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name.encode() + struct.pack(">II", place + len(values), len(value))
        values += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + values
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), bytes(4), 0x02100000, kind, colors, connection)
    head = head.ljust(36, b"\0") + b"acsp"
    return head.ljust(68, b"\0") + _xyz(D50)[8:] + bytes(48) + body


def _xyz(value: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * float(one)) for one in value))
