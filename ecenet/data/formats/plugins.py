"""Formats that Pillow reads with plugins: HEIC and JPEG XL.

`pillow-heif` is required. `pillow-jxl-plugin` is licensed under the GPL and therefore optional (`pip install
'ecenet-explorer[jxl]'`). Both are imported only when such a file is opened.
"""

from ecenet.common.errors import UserError

MAX_JXL_CHANNELS = 4
"""Maximum number of extra channels, such as transparency and depth; each takes as much memory as the image."""


def ready_for_heif(label: str) -> None:
    """Register the plugin for HEIC.

    Raises:
        UserError: the package is not installed or cannot be imported.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise UserError(
            "package-missing",
            f"Expected an image in a supported format, but {label} is HEIC and pillow-heif is not installed; choose "
            "Most Compatible in the phone's camera settings, or export the photo as JPEG.",
        ) from error
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def ready_for_jxl(label: str) -> None:
    """Register the plugin for JPEG XL.

    Raises:
        UserError: the package is not installed or cannot be imported.
    """
    try:
        import pillow_jxl  # noqa: F401  # it registers itself
    except ImportError as error:
        raise UserError(
            "package-missing",
            f"Expected an image in a supported format, but {label} is JPEG XL and pillow-jxl-plugin is not installed; "
            "export the image as JPEG or PNG.",
        ) from error


class _Bits:
    """Reader for the bits of a JPEG XL codestream, lowest bit of each byte first."""

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
        """Read a U32 of the format: two bits select one of four pairs (offset, number of bits to add)."""
        offset, count = choices[self.read(2)]
        return offset + self.read(count)


def jxl_size(content: bytes) -> tuple[int, int]:
    """Read (width, height) from the header of a JPEG XL file, since `pillow-jxl-plugin` would decode all pixels first.

    Raises:
        ValueError: the header is invalid, or there are too many channels.
    """
    bits = _Bits(_codestream(content)[2:130])
    width, height = _size(bits)
    if not bits.read(1):  # otherwise all values are defaults
        if bits.read(1):
            _skip_extra_fields(bits)
        _skip_bit_depth(bits)
        bits.read(1)
        if bits.choose((0, 0), (1, 0), (2, 4), (1, 12)) > MAX_JXL_CHANNELS:
            raise ValueError("too many channels")
    return width, height


def _codestream(content: bytes) -> bytes:
    """Return the start of the codestream; in a container, it is in the box `jxlc` or the first box `jxlp`."""
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
