"""Photos and mask files, paired by folders or by suffixes of their names."""

import difflib
import re
from collections import Counter, defaultdict
from fnmatch import fnmatch
from pathlib import Path

from ecenet.common.errors import UserError
from ecenet.data.class_lists import ClassList, read_class_list
from ecenet.data.layouts.pairing import IMAGE_SUFFIXES, read_list
from ecenet.data.prepare.samples import SPLITS, Found, Sample, split_in

SUFFIXES = IMAGE_SUFFIXES | {".gif"}
MASK_FOLDERS = [
    *("1st_manual", "manual", "segmentationclass", "segmentationclasspng", "ann_dir", "annotations", "annotation"),
    *("labels", "label", "labelled", "groundtruth", "ground_truth", "ground-truth", "gt", "targets", "target"),
    *("segmentation", "segmentations", "seg", "masks", "mask", "trainannot", "valannot", "testannot", "label_images"),
    *("labels_png", "label_png", "semantic", "mask_images", "color_masks", "rgb_masks", "y"),
]
"""Names of mask folders in lower case, by priority."""
IMAGE_FOLDERS = {"images", "image", "img", "imgs", "img_dir", "photos", "jpegimages", "input", "inputs", "x"}
NO_MASKS = {"segmentationobject", "segmentationclassvisualization", "instances", "2nd_manual"}
"""Folders of pictures that are neither photos nor masks."""
MASK_ENDS = [
    *("1stho", "manual1", "mask", "masks", "label", "labels", "seg", "segmentation", "gt", "groundtruth"),
    *("ground_truth", "annotation", "lab", "l", "labelids", "gtfine_labelids", "color_mask"),
]
"""Suffixes of mask names, after `_`, `-` or `.`, by priority."""
OTHER_ENDS = ["2ndho", "manual2", "predict", "overlay", "viz", "instanceids"]
IMAGE_ENDS = ["training", "test", "image", "img", "sat", "leftimg8bit", "photo", "im", "rgb"]
CLASS_FILES = [
    *("classes.json", "labelmap.txt", "class_names.txt", "classes.txt", "label_colors.txt", "labels.txt"),
    *("classes.csv", "class_dict.csv", "palette.json", "_classes.csv", "obj.names"),
]

Ranked = tuple[tuple[int, int], Path]
"""A mask file with its rank; the smallest rank has priority."""


def find_pairs(root: Path, *, images: str | None = None, masks: str | None = None) -> Found | None:
    """Find photos with mask files; returns None if there are none.

    Args:
        images, masks: patterns of paths below `root`, which replace the rules of this module.
    Raises:
        UserError: a pattern matches nothing, or a list of classes cannot be read.
    """
    files = sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    photos, candidates = _sorted_out(root, files, images=images, masks=masks)
    if not photos or not candidates:
        if images or masks:
            raise UserError(
                "data-missing",
                f"Expected photos and masks below {root} for --images {images or '(any)'} and --masks "
                f"{masks or '(any)'}, but they match {len(photos)} and {len(candidates)} of {len(files)} files; "
                "correct the patterns, which are matched with paths below that folder.",
            )
        return None
    found: dict[tuple[str, str], list[Ranked]] = defaultdict(list)
    by_stem: dict[str, list[Ranked]] = defaultdict(list)
    for path in candidates:
        folder, stem = _key(root, path, pattern=masks if images else None)
        found[folder, stem].append((_rank(root, path), path))
        by_stem[stem].append((_rank(root, path), path))
    photo_stems = Counter(_key(root, photo, pattern=images if masks else None)[1] for photo in photos)
    samples, unpaired, used = [], [], set()
    lists = _listed_splits(root)
    for photo in photos:
        folder, stem = _key(root, photo, pattern=images if masks else None)
        fitting = found.get((folder, stem)) or found.get((folder, photo.stem.lower()))
        if not fitting and photo_stems[stem] == 1:
            fitting = by_stem.get(stem)  # in any folder
        if not fitting:
            unpaired.append(photo)
            continue
        mask = min(fitting)[1]
        used.add(mask)
        split = lists.get(photo.stem) or split_in(photo.relative_to(root).parts[:-1])
        samples.append(Sample(photo, split=split, folder=folder, mask=mask))
    if not samples:
        return None
    notes = _notes(root, unpaired, [path for path in candidates if path not in used], found)
    return Found("photos with mask files", samples, _classes(root), notes)


def _sorted_out(
    root: Path, files: list[Path], *, images: str | None, masks: str | None
) -> tuple[list[Path], list[Path]]:
    """Return (photos, masks)."""
    photos, found = [], []
    for path in files:
        relative = path.relative_to(root)
        folders = {part.lower() for part in relative.parts[:-1]}
        as_mask = bool(folders & set(MASK_FOLDERS)) or _end(path.stem.lower(), MASK_ENDS) is not None
        if masks is not None:
            as_mask = fnmatch(relative.as_posix(), masks)
        if images is not None and fnmatch(relative.as_posix(), images):
            photos.append(path)
        elif as_mask:
            if masks is not None or not folders & NO_MASKS:
                found.append(path)
        elif images is None and not folders & NO_MASKS and _end(path.stem.lower(), OTHER_ENDS) is None:
            photos.append(path)
    return photos, found


def _end(stem: str, ends: list[str]) -> str | None:
    """Return the first of `ends` that is a suffix of a lower-case name, or None."""
    return next((end for end in ends if re.search(rf".[_.\- ]{re.escape(end)}$", stem)), None)


def _key(root: Path, path: Path, *, pattern: str | None) -> tuple[str, str]:
    """Return the key that a photo and its mask share: the folders, without those that distinguish photos and masks, and
    the name.

    Args:
        pattern: pattern of the paths, if there are patterns for photos and masks; the key is what its wildcards match.
    """
    if pattern is not None:
        wild = re.escape(pattern).replace(r"\*", "(.*)").replace(r"\?", "(.)")
        match = re.fullmatch(wild, path.relative_to(root).as_posix())
        if match:
            return "", "/".join(match.groups()).lower()
    neutral = {*MASK_FOLDERS, *IMAGE_FOLDERS}
    parts = [part.lower() for part in path.relative_to(root).parts[:-1]]
    # The masks of `train` may be in `trainannot`.
    parts = [part.removesuffix("annot") if part.endswith("annot") else part for part in parts]
    folder = "/".join(part for part in parts if part not in neutral)
    stem = path.stem.lower()
    for ends in (MASK_ENDS, IMAGE_ENDS):
        end = _end(stem, ends)
        if end is not None:
            stem = stem[: -len(end) - 1]
    for start in ("mask_", "label_", "seg_", "gt_"):
        stem = stem.removeprefix(start)
    return folder, stem


def _rank(root: Path, path: Path) -> tuple[int, int]:
    """Return the rank of a mask; smaller ranks have priority."""
    folders = [part.lower() for part in path.relative_to(root).parts[:-1]]
    ranks = [MASK_FOLDERS.index(part) for part in folders if part in MASK_FOLDERS]
    end = _end(path.stem.lower(), MASK_ENDS)
    return MASK_ENDS.index("mask" if end is None else end), min(ranks, default=len(MASK_FOLDERS))


def _listed_splits(root: Path) -> dict[str, str]:
    """Return the split of each stem, from lists in VOC's format."""
    splits: dict[str, str] = {}
    for path in sorted(root.rglob("ImageSets/Segmentation/*.txt")):
        if path.stem.lower() in SPLITS and path.stat().st_size:
            splits |= dict.fromkeys(read_list(path), SPLITS[path.stem.lower()])
    return splits


def _classes(root: Path) -> ClassList:
    for name in CLASS_FILES:
        path = next((path for path in (root / name, *sorted(root.glob(f"*/{name}"))) if path.is_file()), None)
        if path is not None:
            return read_class_list(path)
    return ClassList()


def _notes(
    root: Path, unpaired: list[Path], unused: list[Path], found: dict[tuple[str, str], list[Ranked]]
) -> list[str]:
    notes = []
    if unpaired:
        names = [stem for _, stem in found]
        first = unpaired[0].relative_to(root)
        near = difflib.get_close_matches(unpaired[0].stem.lower(), names, n=1, cutoff=0.5)
        hint = f" (closest name: {near[0]})" if near else ""
        shown = ", ".join(str(path.relative_to(root)) for path in unpaired[1:3])
        more = f", {shown}{' …' if len(unpaired) > 3 else ''}" if shown else ""
        notes.append(f"{len(unpaired)} photos have no mask and are omitted: {first}{hint}{more}.")
    if unused:
        shown = ", ".join(str(path.relative_to(root)) for path in unused[:3])
        notes.append(f"{len(unused)} mask files are not used: {shown}{' …' if len(unused) > 3 else ''}.")
    return notes
