"""Data sets of the Hugging Face Hub, or saved by its library `datasets`, as folders of photos and masks:
`hf:USER/NAME`, `hf:USER/NAME:SPLIT`, `hf:FOLDER`."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from tqdm import tqdm

from ecenet.common.errors import UserError, disk_errors
from ecenet.common.files import replaced
from ecenet.data.prepare.samples import SPLITS

PREFIX = "hf:"
MASK_COLUMNS = ("mask", "label", "labels", "annotation", "segmentation", "segmentation_mask", "semantic", "seg", "gt")
"""What image columns are called that are masks; else the second image column is."""
DONE = "complete"


@contextmanager
def local_source(source: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """The folder itself, or one with what `hf:` names.

    Args:
        keep: where that is written to stay; by default it is removed afterwards.
    Raises:
        UserError: `datasets` is not installed, nothing of that name, or no photos with masks.
    """
    name = str(source)
    if not name.startswith(PREFIX):
        yield source
    elif keep is not None:
        fetch(name.removeprefix(PREFIX), keep)
        yield keep
    else:
        with TemporaryDirectory() as folder:
            fetch(name.removeprefix(PREFIX), Path(folder))
            yield Path(folder)


def fetch(name: str, folder: Path) -> None:
    """Write `images/SPLIT` and `masks/SPLIT` as the data set has them; what is there already stays."""
    if (folder / DONE).is_file():
        return
    for split, rows in _load(name).items():
        ours = SPLITS.get(split.lower(), split)
        photo, mask = _columns(rows, name)
        rows = _undecoded(rows, photo, mask)
        for number, row in enumerate(tqdm(rows, desc=f"Fetching {split}", unit="photo", leave=False)):
            for kind, column in (("images", photo), ("masks", mask)):
                with disk_errors(folder):
                    _write(row[column], folder / kind / ours, f"{number:06}")
    (folder / DONE).touch()


def _load(name: str) -> dict[str, Any]:
    """Split → rows."""
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "package-missing",
            f"Expected the package `datasets` to read hf:{name}, but it is not installed; run `pip install datasets`.",
        ) from error
    address, _, split = name.partition(":")
    try:
        load = datasets.load_from_disk if Path(address).is_dir() else datasets.load_dataset
        loaded: Any = load(address)
    except Exception as error:  # the library raises almost anything, of the network and of files
        raise UserError(
            "download-failed",
            f"Expected a data set {address!r} on the Hugging Face Hub or in a folder that `datasets` saved, but it "
            f"cannot be loaded ({' '.join(str(error).split())[:160]}); check the name and the network.",
        ) from error
    splits: dict[str, Any] = dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
    if split and split not in splits:
        raise UserError(
            "unknown-choice", f"Expected one of the splits {', '.join(splits)} of {address}, got {split!r}; choose one."
        )
    return {split: splits[split]} if split else splits


def _columns(rows: Any, name: str) -> tuple[str, str]:
    """(photo, mask)."""
    import datasets

    columns = [column for column, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    masks = [column for column in columns if column.lower() in MASK_COLUMNS] or columns[1:2]
    photos = [column for column in columns if column not in masks]
    if not masks or not photos:
        found = ", ".join(f"{column} ({type(feature).__name__})" for column, feature in rows.features.items())
        raise UserError(
            "wrong-data",
            f"Expected two columns of images in {name}, photo and mask, but it has {found}; choose another data set.",
        )
    return photos[0], masks[0]


def _undecoded(rows: Any, *columns: str) -> Any:
    """Files as they were saved, so that masks lose nothing."""
    import datasets

    for column in columns:
        rows = rows.cast_column(column, datasets.Image(decode=False))
    return rows


def _write(entry: dict[str, Any], folder: Path, name: str) -> None:
    content = entry["bytes"] if entry.get("bytes") is not None else Path(entry["path"]).read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        suffix = {"JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif"}.get(image.format or "", ".png")
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return
        folder.mkdir(parents=True, exist_ok=True)
        with replaced(path) as partial:
            if image.format in ("JPEG", "PNG", "TIFF"):
                partial.write_bytes(content)
            else:
                image.save(partial, format="PNG")
