"""Formats that Pillow reads with the help of another package: HEIC and JPEG XL.

`pillow-heif` is required. `pillow-jxl-plugin` is licensed under the GPL and therefore only used where somebody has
installed it (`pip install 'ecenet-explorer[jxl]'`). Neither is imported before such a file comes.
"""

from ecenet.common.errors import UserError

MAX_JXL_CHANNELS = 4
"""Besides the colours (transparency, depth and the like). Each takes as much memory as the picture."""


def ready_for_heif(label: str) -> None:
    """Raises:
    UserError: the package is not installed, or does not run here.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise UserError(
            "package-missing",
            f"Expected an image that can be read here, but {label} is HEIC, for which pillow-heif is not installed; in "
            "the phone's camera settings choose Most Compatible, or export it as JPEG.",
        ) from error
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def ready_for_jxl(label: str) -> None:
    """Raises:
    UserError: the package is not installed, or does not run here.
    """
    try:
        import pillow_jxl  # noqa: F401  # it registers itself
    except ImportError as error:
        raise UserError(
            "package-missing",
            f"Expected an image that can be read here, but {label} is JPEG XL, for which pillow-jxl-plugin is not "
            "installed; export it as JPEG or PNG.",
        ) from error


class _Bits:
    """Bits of a JPEG XL codestream, the lowest of each byte first."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content, "little")
        self._left = 8 * len(content)

    def read(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the header ends early")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def choose(self, *choices: tuple[int, int]) -> int:
        """The format's U32: two bits choose among four pairs of an offset and a number of bits that are added."""
        offset, count = choices[self.read(2)]
        return offset + self.read(count)


def jxl_size(content: bytes) -> tuple[int, int]:
    """(width, height) that a JPEG XL file claims: `pillow-jxl-plugin` unpacks all pixels before it tells.

    Raises:
        ValueError: it has no such header, or more channels than a picture needs.
    """
    bits = _Bits(_codestream(content)[2:130])
    width, height = _size(bits)
    if not bits.read(1):  # else everything has its default
        if bits.read(1):
            _skip_extra_fields(bits)
        _skip_bit_depth(bits)
        bits.read(1)
        if bits.choose((0, 0), (1, 0), (2, 4), (1, 12)) > MAX_JXL_CHANNELS:
            raise ValueError("too many channels")
    return width, height


def _codestream(content: bytes) -> bytes:
    """Its start; in a container it is a box `jxlc`, or the first of several `jxlp`."""
    if content.startswith(b"\xff\x0a"):
        return content[:130]
    place = 0
    for _ in range(100):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        start = place + 8
        if length == 1:
            length, start = int.from_bytes(content[start : start + 8], "big"), start + 8
        if kind in (b"jxlc", b"jxlp"):
            start += 4 * (kind == b"jxlp")
            return content[start : start + 130]
        if length < 8:
            break
        place += length
    raise ValueError("no codestream")


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.read(1)

    def side() -> int:
        return 8 * (1 + bits.read(5)) if small else bits.choose((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = bits.read(3)
    if ratio == 0:
        return side(), height
    over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * over // under, height


def _skip_extra_fields(bits: _Bits) -> None:
    bits.read(3)  # orientation
    if bits.read(1):  # the size to show it at
        _size(bits)
    if bits.read(1):
        raise ValueError("a preview, which no encoder writes")
    if bits.read(1):  # animation: ticks a second (over and under), loops, time codes
        bits.choose((100, 0), (1000, 0), (1, 10), (1, 30))
        bits.choose((1, 0), (1001, 0), (1, 8), (1, 10))
        bits.choose((0, 0), (0, 3), (0, 16), (0, 32))
        bits.read(1)


def _skip_bit_depth(bits: _Bits) -> None:
    if bits.read(1):  # floating point
        bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
        bits.read(4)
    else:
        bits.choose((8, 0), (10, 0), (12, 0), (1, 6))
