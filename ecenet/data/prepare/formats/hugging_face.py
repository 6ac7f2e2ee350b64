"""Data sets of the Hugging Face Hub, or saved by the library `datasets`: `hf:USER/NAME`, `hf:USER/NAME:SPLIT`,
`hf:FOLDER`."""

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
"""Names of mask columns; otherwise the second image column is the mask."""
DONE = "complete"


@contextmanager
def local_source(source: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """Yield the folder itself, or a folder with the data set that `hf:` refers to.

    Args:
        keep: folder for the downloaded data; by default a temporary one.
    Raises:
        UserError: `datasets` is not installed, the data set does not exist, or it has no photos with masks.
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
    """Write the original files of a data set to `images/SPLIT` and `masks/SPLIT`; existing files are kept."""
    if (folder / DONE).is_file():
        return
    for split, rows in _load(name).items():
        ours = SPLITS.get(split.lower(), split)
        photo, mask = _columns(rows, name)
        rows = _undecoded(rows, photo, mask)
        for number, row in enumerate(tqdm(rows, desc=f"Downloading {split}", unit="photo", leave=False)):
            for kind, column in (("images", photo), ("masks", mask)):
                with disk_errors(folder):
                    _write(row[column], folder / kind / ours, f"{number:06}")
    (folder / DONE).touch()


def _load(name: str) -> dict[str, Any]:
    """Return the rows of each split."""
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
    except Exception as error:  # the library raises many exceptions
        raise UserError(
            "download-failed",
            f"Expected a data set {address!r} on the Hugging Face Hub or in a folder saved by `datasets`, but it "
            f"cannot be loaded ({' '.join(str(error).split())[:160]}); check the name and the network.",
        ) from error
    splits: dict[str, Any] = dict(loaded) if isinstance(loaded, dict) else {"train": loaded}
    if split and split not in splits:
        raise UserError(
            "unknown-choice", f"Expected one of the splits {', '.join(splits)} of {address}, got {split!r}; choose one."
        )
    return {split: splits[split]} if split else splits


def _columns(rows: Any, name: str) -> tuple[str, str]:
    """Return the names of the columns with photos and masks."""
    import datasets

    columns = [column for column, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    masks = [column for column in columns if column.lower() in MASK_COLUMNS] or columns[1:2]
    photos = [column for column in columns if column not in masks]
    if not masks or not photos:
        found = ", ".join(f"{column} ({type(feature).__name__})" for column, feature in rows.features.items())
        raise UserError(
            "wrong-data",
            f"Expected two image columns in {name}, photo and mask, but it has {found}; choose another data set.",
        )
    return photos[0], masks[0]


def _undecoded(rows: Any, *columns: str) -> Any:
    """Return the rows with encoded files, so that masks are not changed."""
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
