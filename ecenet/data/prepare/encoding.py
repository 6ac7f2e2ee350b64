"""Assignment of mask values or colours to classes."""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from ecenet.common.errors import UserError
from ecenet.data.class_lists import ClassList, Color, class_list
from ecenet.data.labels import IGNORE_INDEX
from ecenet.data.prepare.mask_values import Survey, color_code, rgb_of

Unknown = Literal["refuse", "ignore", "nearest"]
NEAR = 40.0
"""Distance in RGB, or in grey values, up to which a pixel of a lossy mask certainly belongs to the nearest class."""
LEAST_SHARE, SURE_SHARE = 0.002, 0.05
"""Shares of all pixels: values of lossy masks below the first are compression artefacts, above the second classes."""
TWO = ("background", "foreground")


@dataclass(frozen=True)
class Encoding:
    """The class index of every code (value or colour) in the masks."""

    classes: ClassList
    indices: dict[int, int]
    colored: bool
    how: str
    """Description of the encoding, for messages."""
    doubtful: float = 0.0
    """Share of pixels that are far from every class and were assigned to the nearest."""

    def apply(self, codes: np.ndarray) -> np.ndarray:
        """Convert (H, W) codes to uint8 class indices, 255 = ignored."""
        known = np.array(sorted(self.indices))
        table = np.array([self.indices[code] for code in known.tolist()], np.uint8)
        mask: np.ndarray = table[np.searchsorted(known, codes)]
        return mask

    def class_pixels(self, pixels: dict[int, int]) -> np.ndarray:
        """Return the pixels of each class in a file, (K + 1,), with ignored pixels last."""
        classes = len(self.classes.names)
        counts = np.zeros(classes + 1, np.int64)
        for code, count in pixels.items():
            index = self.indices[code]
            counts[classes if index == IGNORE_INDEX else index] += count
        return counts


def encode(masks: Survey, classes: ClassList, *, unknown: Unknown = "refuse") -> Encoding:
    """Determine the class of each code.

    Args:
        classes: names, with or without colours, if known.
        unknown: treatment of colours that are not in `classes`.
    Raises:
        UserError: the codes cannot be assigned to classes, or do not match the given ones.
    """
    total = masks.total
    smeared = masks.lossy or len(total) > IGNORE_INDEX
    if masks.colored and classes.has_colors:
        return _given_colors(total, classes, unknown="nearest" if smeared else unknown)
    centres = _centres(total, colored=masks.colored) if smeared else sorted(total)
    if len(centres) > IGNORE_INDEX:
        raise UserError(
            "wrong-data",
            f"Expected masks with at most {IGNORE_INDEX} different values, but these have {len(total)}; they may be "
            "photos or instances: select the masks with --masks.",
        )
    if masks.colored:
        return _found_colors(total, centres, classes)
    if classes.has_colors and not smeared and _fit_palette(masks, classes):
        colors = {color_code(color): k for k, color in enumerate(classes.colors) if color is not None}
        indices = {code: colors[masks.palette[code]] for code in total}
        return Encoding(classes, indices, False, "palette indices, by the colours of their palette")
    return _values(masks, total, centres, classes)


def _fit_palette(masks: Survey, classes: ClassList) -> bool:
    """Return whether the indices refer, by their palette, to the colours of the given classes."""
    given = {color for color in classes.colors}
    return bool(masks.palette) and all(
        code in masks.palette and rgb_of(masks.palette[code]) in given for code in masks.total
    )


def _given_colors(total: Counter[int], classes: ClassList, *, unknown: Unknown) -> Encoding:
    indices = {color_code(color): k for k, color in enumerate(classes.colors) if color is not None}
    strange = [code for code, _ in total.most_common() if code not in indices]
    if strange and unknown == "refuse":
        shown = ", ".join(str(rgb_of(code)) for code in strange[:3])
        share = sum(total[code] for code in strange) / total.total()
        raise UserError(
            "unknown-mask-value",
            f"Expected the {len(indices)} colours of the classes in the masks, but they contain {len(strange)} others "
            f"({shown}{' …' if len(strange) > 3 else ''}; {share:.2%} of the pixels); add them to the list of classes, "
            "or use --unknown ignore or --unknown nearest.",
        )
    if unknown == "ignore":
        return Encoding(classes, indices | dict.fromkeys(strange, IGNORE_INDEX), True, "colours of the given classes")
    snapped, doubtful = _snap(total, indices, colored=True)
    how = "colours of the given classes" + (", nearest match" if strange else "")
    return Encoding(classes, snapped, True, how, doubtful)


def _found_colors(total: Counter[int], centres: list[int], classes: ClassList) -> Encoding:
    order = sorted(centres, key=lambda code: (code != 0, -total[code]))  # black is usually the background
    colors: list[Color | None] = [rgb_of(code) for code in order]
    if classes.names and len(classes.names) != len(order):
        raise UserError(
            "wrong-classes",
            f"Expected a colour for each of the {len(classes.names)} named classes, but the masks have {len(order)} "
            f"({', '.join(str(rgb_of(code)) for code in order[:5])}{' …' if len(order) > 5 else ''}); "
            "give a list of names with colours with --classes.",
        )
    if classes.names:
        raise UserError(
            "missing-value",
            f"Expected a colour for each of the {len(order)} class names, got names only; add colours, such as (this "
            "order, most frequent first, is a guess): "
            + ", ".join(f"{name} #{code:06x}" for name, code in zip(classes.names, order, strict=True))
            + ".",
        )
    indices, doubtful = _snap(total, {code: k for k, code in enumerate(order)}, colored=True)
    names = [f"color-{k + 1}" for k in range(len(order))]
    return Encoding(class_list(names, colors), indices, True, f"{len(order)} colours without names", doubtful)


def _values(masks: Survey, total: Counter[int], centres: list[int], classes: ClassList) -> Encoding:
    """Interpret grey values or palette indices, as class indices or in ascending order."""
    present, count = set(centres), len(classes.names)
    own = present - {IGNORE_INDEX}
    ignored = IGNORE_INDEX in present
    palette = [rgb_of(masks.palette[code]) if code in masks.palette else None for code in sorted(own)]
    names = classes.names
    in_order = {code: k for k, code in enumerate(sorted(present))}
    if not names and len(present) == 2 and 0 in present and present != {0, 1}:
        names, centres_of, how = list(TWO), in_order, f"two values, 0 and {max(present)}"
    elif names and count == len(present) and ignored and max(own, default=0) == count - 2:
        centres_of, how = in_order, f"{IGNORE_INDEX} as the last class, {names[-1]!r}"
    elif names and max(own, default=0) < count:
        centres_of = {code: code for code in own} | ({IGNORE_INDEX: IGNORE_INDEX} if ignored else {})
        how = "class indices"
    elif names and count in (len(present), len(own)):
        centres_of = in_order if count == len(present) else {code: k for k, code in enumerate(sorted(own))}
        centres_of.setdefault(IGNORE_INDEX, IGNORE_INDEX)
        how = f"{count} values in ascending order"
    elif not names and own == set(range(len(own))):
        names = list(TWO) if len(own) == 2 else [f"class-{k}" for k in sorted(own)]
        centres_of, how = {code: code for code in own} | {IGNORE_INDEX: IGNORE_INDEX}, "class indices without names"
    elif not names:
        kept = sorted(own) if ignored and len(own) > 1 else sorted(present)
        names, how = [f"value-{code}" for code in kept], f"{len(kept)} values without names"
        centres_of = {IGNORE_INDEX: IGNORE_INDEX} | {code: k for k, code in enumerate(kept)}
    else:
        shown = ", ".join(map(str, sorted(present)[:12]))
        raise UserError(
            "unknown-mask-value",
            f"Expected masks of the {count} classes {', '.join(names[:4])}{' …' if count > 4 else ''}, but they have "
            f"{len(present)} values ({shown}{' …' if len(present) > 12 else ''}); give as many names with --classes.",
        )
    nearest = {code: centres_of[code] for code in centres if code in centres_of}
    indices, doubtful = _snap(total, nearest, colored=False)
    colors: list[Color | None] = [None] * len(names)
    if classes.names:
        colors = classes.colors
    elif len(palette) == len(names) and len(set(palette)) == len(palette):
        colors = palette
    return Encoding(class_list(names, colors), indices, False, how, doubtful)


def _centres(total: Counter[int], *, colored: bool) -> list[int]:
    """Return the original values of lossy masks: the most frequent ones, without those near them. Rare values between
    two of them are artefacts at edges."""
    codes, counts = np.array(list(total)), np.array(list(total.values()))
    points = _points(codes, colored=colored)
    left = np.ones(len(codes), bool)
    centres: list[int] = []
    while left.any():
        best = int(np.where(left, counts, -1).argmax())
        near = left & (np.linalg.norm(points - points[best], axis=1) <= NEAR)
        share = counts[near].sum() / counts.sum()
        if share < LEAST_SHARE:
            break
        left &= ~near
        if share >= SURE_SHARE or not _is_mix(points[best], points[centres]):
            centres.append(best)
    return sorted(codes[centres].tolist())


def _is_mix(point: np.ndarray, centres: np.ndarray) -> bool:
    """Return whether a point is near the line between two of `centres`."""
    for one, other in combinations(centres, 2):
        along = other - one
        place = np.clip((point - one) @ along / (along @ along), 0, 1)
        if np.linalg.norm(one + place * along - point) <= NEAR:
            return True
    return False


def _snap(total: Counter[int], indices: dict[int, int], *, colored: bool) -> tuple[dict[int, int], float]:
    """Assign every code to the class of the nearest known one, and return the share of pixels that are far from all."""
    strange = [code for code in total if code not in indices]
    if not strange:
        return dict(indices), 0.0
    known = np.array(list(indices))
    points, centres = (_points(np.array(codes), colored=colored) for codes in (strange, known))
    distances = np.linalg.norm(points[:, None] - centres[None], axis=-1)
    nearest, counts = distances.argmin(axis=1), np.array([total[code] for code in strange])
    far = int(counts[distances.min(axis=1) > NEAR].sum())
    snapped = {code: indices[int(known[place])] for code, place in zip(strange, nearest, strict=True)}
    return dict(indices) | snapped, far / total.total()


def _points(codes: np.ndarray, *, colored: bool) -> np.ndarray:
    """Return (N, 3) colours or (N, 1) values."""
    if not colored:
        return codes[:, None].astype(float)
    return np.stack([codes >> 16, (codes >> 8) & 255, codes & 255], axis=-1).astype(float)
