"""Conversion of labelled photos in any supported format to the folder layout. The originals are not changed."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import replaced, write_json
from ecenet.data.images import load_image
from ecenet.data.inspection.class_table import class_table, splits_doubts
from ecenet.data.layouts.pairing import IMAGE_SUFFIXES
from ecenet.data.prepare.find import find_labelled
from ecenet.data.prepare.formats.hugging_face import local_source
from ecenet.data.prepare.labels_of import Labels, labels_of
from ecenet.data.prepare.mask_values import parallel
from ecenet.data.prepare.options import PrepareOptions
from ecenet.data.prepare.overview import contact_sheet
from ecenet.data.prepare.samples import Found, Sample
from ecenet.data.prepare.splits import divided, unique_names
from ecenet.data.split import mask_counts

RECORD, SHEET = "prepare.json", "overview.jpg"
SHOWN = 12
"""Number of photos in the overview."""


@dataclass(frozen=True)
class Prepared:
    """The result of a conversion."""

    out: Path
    kind: str
    how: str
    names: list[str]
    counts: dict[str, np.ndarray]
    """(images, K + 1) pixels of each class and ignored pixels, by split."""
    notes: list[str]

    def report(self) -> str:
        """Return a text with the format, the classes and warnings."""
        lines = [f"{self.kind}: {self.how}.", class_table(self.names, self.counts)]
        notes = [*self.notes, *splits_doubts(self.names, self.counts)]
        return "\n".join([*lines, *(f"Note: {note}" for note in notes)])


def prepare(source: Path, out: Path, options: PrepareOptions) -> Prepared:
    """Write `images/SPLIT`, `masks/SPLIT`, `classes.json` and an overview picture. Existing files are kept, so the same
    call resumes an interrupted one.

    Raises:
        UserError: the format of `source` is unknown, masks or annotations cannot be used, or `out` contains other
            files.
    """
    _check_out(source, out, options)
    with local_source(source, keep=out / "original") as folder:
        return _prepared(folder, out, options, name=source.name)


def _prepared(source: Path, out: Path, options: PrepareOptions, *, name: str) -> Prepared:
    found = find_labelled(source, images=options.images, masks=options.masks)
    labels = labels_of(found, options)
    names = unique_names(found.samples)
    splits = divided(found.samples, names, val_share=options.val_share, group=options.group, seed=options.seed)
    if len(labels.classes.names) < 2:
        raise UserError(
            "not-enough-data",
            f"Expected at least two classes in {source}, but its masks have {', '.join(labels.classes.names)} only; "
            "label pixels of another class.",
        )
    with disk_errors(out):
        for split in sorted(set(splits)):
            for kind in ("images", "masks"):
                (out / kind / split).mkdir(parents=True, exist_ok=True)
        _write_classes(out, name or source.resolve().name, labels)
    counts, problems = _write_samples(found, labels, out, names, splits)
    if problems:
        shown = "\n  ".join(problems[:3])
        raise UserError(
            "several-problems", f"{len(problems)} of {len(found.samples)} photos cannot be used:\n  {shown}"
        )
    _write_sheet(out, labels, names, splits)
    of_split: dict[str, np.ndarray] = {
        str(split): counts[[number for number, own in enumerate(splits) if own == split]]
        for split in ("train", "val", "test")
        if split in splits
    }
    notes = list(found.notes)
    if labels.encoding is not None and labels.encoding.doubtful:
        notes.append(
            f"{labels.encoding.doubtful:.2%} of the pixels lie between classes and were assigned to the nearest."
        )
    return Prepared(out, found.kind, labels.how, labels.classes.names, of_split, notes)


def _check_out(source: Path, out: Path, options: PrepareOptions) -> None:
    """Check that the output folder is empty or contains a part of the same conversion, and write the options to it."""
    if out.resolve() == source.resolve() or source.resolve().is_relative_to(out.resolve()):
        raise UserError(
            "invalid-value",
            f"Expected a separate folder for the prepared data, but {out} contains the source; choose another --out.",
        )
    settings = {"source": str(source.resolve()), **asdict(options)}
    settings["classes"] = str(options.classes) if options.classes else None
    record = out / RECORD
    if record.is_file():
        try:
            before = json.loads(record.read_text(encoding="utf-8"))
        except ValueError:
            before = None
        if before != settings:
            raise UserError(
                "changed-settings",
                f"Expected to resume in {out}, but it was prepared from other data or with other options; "
                "choose another --out, or delete that folder.",
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(
            "name-taken", f"Expected a new or empty folder, but {out} contains files; choose another --out."
        )
    write_json(record, settings)


def _write_classes(out: Path, name: str, labels: Labels) -> None:
    classes = labels.classes
    entries = [{"name": own, "color": color} for own, color in zip(classes.names, classes.shown_colors(), strict=True)]
    write_json(out / "classes.json", {"name": name, "classes": entries})


def _write_samples(
    found: Found, labels: Labels, out: Path, names: list[str], splits: list[str]
) -> tuple[np.ndarray, list[str]]:
    """Return (samples, K + 1) pixels, and problems with photos."""
    classes = len(labels.classes.names)

    def write(number: int) -> np.ndarray | str:
        sample, name, split = found.samples[number], names[number], splits[number]
        try:
            mask = _write_one(sample, labels, out, name=name, split=split)
        except UserError as error:
            return str(error)
        return mask_counts(mask, classes)

    answers = parallel(write, range(len(found.samples)), title="Preparing", unit="photo")
    problems = [answer for answer in answers if isinstance(answer, str)]
    return np.array([answer for answer in answers if not isinstance(answer, str)]), problems


def _write_one(sample: Sample, labels: Labels, out: Path, *, name: str, split: str) -> np.ndarray:
    path = out / "masks" / split / f"{name}.png"
    if path.is_file():
        return np.asarray(Image.open(path))
    mask = labels.mask_of(sample)
    with disk_errors(path):
        suffix = sample.image.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            # Not a link, so that editing the copy does not change the original.
            with replaced(out / "images" / split / f"{name}{suffix}") as partial:
                shutil.copyfile(sample.image, partial)
        else:
            with replaced(out / "images" / split / f"{name}.png") as partial:
                load_image(sample.image).save(partial, format="PNG")
        with replaced(path) as partial:
            Image.fromarray(mask).save(partial, format="PNG")
    return mask


def _write_sheet(out: Path, labels: Labels, names: list[str], splits: list[str]) -> None:
    picked = np.linspace(0, len(names) - 1, min(SHOWN, len(names))).round().astype(int).tolist()
    photos = {(split, path.stem): path for split in set(splits) for path in (out / "images" / split).iterdir()}
    pairs = [(photos[splits[k], names[k]], out / "masks" / splits[k] / f"{names[k]}.png") for k in picked]
    sheet = contact_sheet(pairs, names=labels.classes.names, colors=labels.classes.shown_colors())
    with disk_errors(out):
        sheet.save(out / SHEET, quality=88)
