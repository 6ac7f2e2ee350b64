"""What `load_image` promises, for arrays, bytes and files that hypothesis thinks up. EXAMPLES is how many of each."""

import io
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from ecenet.common.errors import UserError
from ecenet.data.images import MAX_PIXELS, image_size, load_image, load_stored
from ecenet.data.rgb_conversion import BAND_PIXELS
from tests.support.helpers import encode

settings.register_profile(
    "uploads",
    max_examples=int(os.environ.get("EXAMPLES", "25")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
PROPERTIES = settings.get_profile("uploads")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

SIDES = st.integers(1, 24)
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
CARRIES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("1", "L", "P"),
    "TIFF": MODES,
    "BMP": ("1", "L", "P", "RGB"),
}
"""Modes that each format keeps."""
STARTS = (
    b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\0\0\0WEBPVP8 ", b"GIF89a",
    b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"BM",
    b"\0\0\0\x1cftypavif",
)  # fmt: skip


@st.composite
def pictures(draw: st.DrawFn, modes: tuple[str, ...] = MODES) -> Image.Image:
    """Of any mode and size, down to one pixel."""
    mode, width, height = draw(st.sampled_from(modes)), draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        values = rng.integers(0, 65_536, (height, width)).astype(kind)
        return Image.fromarray(values / np.float32(65_535) if mode == "F" else values)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A valid one, of any format, mode and orientation."""
    kind = draw(st.sampled_from(list(CARRIES)))
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 9))
    picture = draw(pictures(CARRIES[kind]))
    return encode(picture, kind, **({} if kind in ("GIF", "BMP") else {"exif": exif}))


def loaded(source: object) -> Image.Image | None:
    """None where it is refused, and then in one sentence."""
    try:
        image = load_image(source)  # type: ignore[arg-type]
    except UserError as error:
        sentence = str(error)
        assert sentence.startswith("Expected")
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert ";" in sentence
        return None
    assert image.mode == "RGB"
    assert min(image.size) >= 8
    assert image.width * image.height <= MAX_PIXELS
    assert "transparency" not in image.info
    return image


@given(
    array=arrays.arrays(
        dtype=st.one_of(arrays.scalar_dtypes(), st.just(np.dtype("O"))),
        shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=12),
        elements=None,
    )
)
@PROPERTIES
def test_any_array_gives_an_image_of_its_size_or_a_sentence(array: np.ndarray) -> None:
    before = array.copy()
    image = loaded(array)
    assert image is None or image.size == array.shape[1::-1]
    assert array.tobytes() == before.tobytes()


@given(shape=st.tuples(st.integers(8, 20), st.integers(8, 20), st.sampled_from((1, 3, 4))), data=st.data())
@PROPERTIES
def test_an_array_of_bytes_comes_out_as_it_is(shape: tuple[int, int, int], data: st.DataObject) -> None:
    array = data.draw(arrays.arrays(np.uint8, shape))
    if shape[2] == 4:
        array[..., 3] = 255
    expected = np.repeat(array, 3, axis=2) if shape[2] == 1 else array[..., :3]
    assert np.array_equal(np.asarray(load_image(array)), expected)


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
@PROPERTIES
def test_any_bytes_give_an_image_or_a_sentence(start: bytes, rest: bytes) -> None:
    loaded(start + rest)


@given(content=files())
@PROPERTIES
def test_a_valid_file_gives_an_image_of_the_size_that_was_told(content: bytes) -> None:
    image = loaded(content)
    stored = Image.open(io.BytesIO(content))
    assert (image is None) == (min(stored.size) < 8)
    if image is not None:
        assert image.size == image_size(content) == ImageOps.exif_transpose(stored).size
        assert load_stored(content).size in (stored.size, image.size)


@given(content=files(), share=st.floats(0, 0.999))
@PROPERTIES
def test_a_truncated_file_gives_its_whole_image_or_a_sentence(content: bytes, share: float) -> None:
    image = loaded(content[: int(share * len(content))])
    assert image is None or np.array_equal(np.asarray(image), np.asarray(load_image(content)))


@given(content=files(), places=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=5))
@PROPERTIES
def test_a_file_with_other_bytes_in_it_gives_an_image_or_a_sentence(
    content: bytes, places: list[tuple[int, int]]
) -> None:
    changed = bytearray(content)
    for place, value in places:
        changed[place % len(changed)] = value
    loaded(bytes(changed))


@given(picture=pictures())
@PROPERTIES
def test_an_image_is_left_as_it_is(picture: Image.Image) -> None:
    before = picture.mode, picture.size, picture.tobytes(), dict(picture.info)
    loaded(picture)
    assert (picture.mode, picture.size, picture.tobytes(), dict(picture.info)) == before


@given(picture=pictures(("L", "P", "RGB", "RGBA", "I;16", "F")))
@PROPERTIES
def test_converting_in_parts_changes_nothing(picture: Image.Image) -> None:
    """Against the same picture stacked until it takes several bands of its own."""
    single = loaded(picture)
    if single is None:
        return
    copies = 1 + BAND_PIXELS // (picture.width * picture.height)
    tall = Image.new(picture.mode, (picture.width, picture.height * copies))
    if picture.mode == "P":
        tall.putpalette(picture.getpalette() or [])
    for copy in range(copies):
        tall.paste(picture, (0, copy * picture.height))
    pixels = np.asarray(load_image(tall)).reshape(copies, picture.height, picture.width, 3)
    assert (pixels == np.asarray(single)).all()
