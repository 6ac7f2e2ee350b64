"""Pictures that several tabs share, as data URIs."""

import numpy as np
from PIL import Image

from ecenet.app.widgets.markup import color_swatch, data_uri, escape
from ecenet.data.images import thumbnail
from ecenet.inference.overlay import heat_colors, marked_pixels, overlay, resize_labels

SAME, DIFFERENT = (heat_colors(np.array(value), low=0, high=1).tolist() for value in (0, 1))


def masked_photo(small: Image.Image, label_map: np.ndarray, class_colors: list[list[int]]) -> str:
    """Draw a photo under its mask.

    Args:
        small: the photo at the size of the picture.
        label_map: (H, W) uint8, at the size of the original photo.
    """
    picture = overlay(small, resize_labels(label_map, size=small.size), class_colors)
    return data_uri(picture, file_format="JPEG")


def marked_photo(image: Image.Image, pixels: np.ndarray, *, max_side: int) -> str:
    """Draw the photo, scaled down, with the pixels of an (H, W) bool mask highlighted."""
    small = thumbnail(image, max_side=max_side)
    marked = marked_pixels(small, resize_labels(pixels.astype(np.uint8), size=small.size) > 0)
    return data_uri(marked, file_format="JPEG")


def changed_photo(small: Image.Image, changed: np.ndarray) -> str:
    """Draw the pixels whose class changed, (H, W) bool, over the faded photo."""
    marks = resize_labels(changed.astype(np.uint8), size=small.size)
    marked = overlay(small.convert("L").convert("RGB"), marks, [SAME, DIFFERENT], opacity=0.65)
    return data_uri(marked, file_format="JPEG")


def difference_legend(word: str) -> str:
    entries = ((DIFFERENT, word), (SAME, "same"))
    return " ".join(f'<span class="ece-entry">{color_swatch(color)}{escape(text)}</span>' for color, text in entries)


def figure(source: str, *, alt: str, caption: str) -> str:
    """Return a figure with a caption, which must be HTML."""
    picture = f'<img src="{source}" alt="{escape(alt)}">'
    return f'<figure class="ece-figure">{picture}<figcaption>{caption}</figcaption></figure>'
