"""Conversion of samples in any format to masks of class indices."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ecenet.common.errors import UserError
from ecenet.data.class_lists import ClassList, class_list, read_class_list
from ecenet.data.images import image_orientation, image_size, load_stored
from ecenet.data.prepare.encoding import Encoding, encode
from ecenet.data.prepare.mask_values import color_codes, grey_values, survey
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.regions import draw
from ecenet.data.prepare.samples import Found, Sample
from ecenet.data.stored_image import QUARTER_TURNS

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition of stored pixels to upright, by EXIF orientation."""


@dataclass(frozen=True)
class Labels:
    """The classes, and the function that returns the mask of a sample."""

    classes: ClassList
    how: str
    """Description of the labels, for messages."""
    mask_of: Callable[[Sample], np.ndarray]
    """Function that returns the mask of a sample, (H, W) uint8, at the size of the upright photo."""
    encoding: Encoding | None = None
    """Encoding of mask files."""
    counts: np.ndarray | None = None
    """(samples, K + 1) pixels of each class and ignored pixels, for mask files."""


def labels_of(found: Found, options: PrepareOptions) -> Labels:
    """Read the values of all mask files, which must be known before a mask can be converted.

    Raises:
        UserError: masks cannot be read, or their values cannot be assigned to classes.
    """
    given = read_class_list(options.classes) if options.classes is not None else None
    if found.has_masks:
        paths = [sample.mask for sample in found.samples if sample.mask is not None]
        masks = survey(paths)
        encoding = encode(masks, given or found.classes, unknown=options.unknown)
        counts = np.stack([encoding.class_pixels(masks.pixels_of(number)) for number in range(len(paths))])

        def decoded(sample: Sample) -> np.ndarray:
            assert sample.mask is not None
            image = load_stored(sample.mask)
            codes = color_codes(image) if encoding.colored else _values(image, sample.mask)
            return upright(encoding.apply(codes), sample, as_stored=options.masks_as_stored)

        return Labels(encoding.classes, encoding.how, decoded, encoding, counts)
    classes = _chosen(found.classes, given)

    def drawn(sample: Sample) -> np.ndarray:
        size = sample.size or image_size(sample.image)
        mask = draw(sample.regions, size=size, names=classes.names, rest=options.rest)
        return upright(mask, sample, as_stored=options.masks_as_stored)

    return Labels(classes, "masks drawn from regions", drawn)


def _values(image: Image.Image, path: Path) -> np.ndarray:
    """Return grey values; for colour files that are grey, the red channel."""
    if image.mode in ("RGB", "RGBA", "CMYK", "YCbCr", "LA", "PA"):
        return np.asarray(image.convert("RGB"))[..., 0]
    return grey_values(image, path)


def _chosen(found: ClassList, given: ClassList | None) -> ClassList:
    """Return the given classes, with a background inserted first if they have none, or all classes of the data.

    Raises:
        UserError: a given name is not a label of the data.
    """
    if given is None:
        return found
    strange = [name for name in given.names if name not in found.names and name != "background"]
    if strange:
        raise UserError(
            "unknown-choice",
            f"Expected classes among the data's labels ({', '.join(found.names[:12])}), got {strange[0]!r}; "
            "correct the list of classes.",
        )
    if "background" in given.names:
        return given
    return class_list(["background", *given.names], [None, *given.colors])


def upright(mask: np.ndarray, sample: Sample, *, as_stored: bool) -> np.ndarray:
    """Rotate a mask like its photo if it was drawn on the stored pixels, according to its size or `as_stored`.

    Raises:
        UserError: the mask has neither the size of the stored nor of the upright photo.
    """
    size, orientation = image_size(sample.image), image_orientation(sample.image)
    own = mask.shape[::-1]
    stored = size[::-1] if orientation in QUARTER_TURNS else size
    if orientation != 1 and (own == stored != size or (as_stored and own == stored)):
        return np.asarray(Image.fromarray(mask).transpose(TURNS[orientation]))
    if own != size:
        whose = sample.mask or f"the labels of {sample.image}"
        raise UserError(
            "size-mismatch",
            f"Expected {whose} to have the size of {sample.image}, {size[0]}×{size[1]}, got {own[0]}×{own[1]}; "
            "export photo and mask at the same size.",
            expected=size,
            got=own,
        )
    return mask
