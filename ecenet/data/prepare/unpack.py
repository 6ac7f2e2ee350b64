"""Safe unpacking of zip files of labelled photos: nothing is written outside of the folder, and the disk is not
filled."""

import hashlib
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from ecenet.common.errors import UserError, disk_errors

MAX_FILES = 200_000
MAX_BYTES = 16 << 30
"""Limit on the unpacked size."""
SPARE_BYTES = 1 << 30
"""Disk space that is kept free."""
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Accepted compression methods, which unpack no more at a time than requested."""
CHUNK = 1 << 20


def unpack_zip(path: Path, store: Path) -> Path:
    """Unpack into `store/NAME-HASH`, unless the same file has been unpacked there before.

    Returns: the folder with the photos and labels; folders that contain only another folder are skipped.
    Raises:
        UserError: the file is not a zip file, is damaged or unsafe, or exceeds the limits.
    """
    out = store / f"{_plain(path.stem)}-{_digest(path)[:12]}"
    if not out.is_dir():
        partial = out.with_name(f"{out.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _unpack(path, partial)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return _innermost(out)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while content := file.read(CHUNK):
            digest.update(content)
    return digest.hexdigest()


def _plain(stem: str) -> str:
    return (
        "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in stem).strip("-")[:40] or "data"
    )


def _unpack(path: Path, out: Path) -> None:
    try:
        with zipfile.ZipFile(path) as source:
            entries = [entry for entry in source.infolist() if not entry.is_dir() and not _is_hidden(entry.filename)]
            _check(path, entries, out)
            for entry in entries:
                target = out.joinpath(*_parts(entry.filename))
                with disk_errors(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    # zipfile stops at the stated size, which has been checked.
                    with source.open(entry) as packed, target.open("xb") as file:
                        shutil.copyfileobj(packed, file, CHUNK)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise UserError(
            "file-damaged",
            f"Expected {path.name} to be a zip file of photos and labels, but it cannot be unpacked "
            f"({str(error)[:120] or type(error).__name__}); create it again, without a password.",
        ) from error


def _check(path: Path, entries: list[zipfile.ZipInfo], out: Path) -> None:
    """Check the entries before anything is unpacked.

    Raises:
        UserError: an entry is unsafe, or the file exceeds the limits.
    """
    if len(entries) > MAX_FILES:
        raise UserError(
            "too-many",
            f"Expected at most {MAX_FILES} files in {path.name}, but it has {len(entries)}; unpack it yourself and "
            "enter the folder.",
            limit=MAX_FILES,
        )
    total = sum(entry.file_size for entry in entries)
    out.parent.mkdir(parents=True, exist_ok=True)
    room = min(MAX_BYTES, shutil.disk_usage(out.parent).free - SPARE_BYTES)
    if total > room:
        raise UserError(
            "file-too-large",
            f"Expected at most {max(room, 0) / 1e9:.1f} GB in {path.name}, but it has {total / 1e9:.1f} GB unpacked; "
            "unpack it yourself where there is enough space and enter the folder.",
            limit=room,
        )
    seen: set[tuple[str, ...]] = set()
    for entry in entries:
        parts = _parts(entry.filename)
        escapes = ".." in parts or entry.filename.startswith(("/", "\\")) or ":" in parts[0] or "\0" in entry.filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if escapes or kind not in (0, stat.S_IFREG):
            what = "a path outside of it" if escapes else "a link or a device"
            raise UserError(
                "file-unsafe",
                f"Expected plain files in {path.name}, but {entry.filename[:80]!r} is {what}; create the zip again.",
            )
        if entry.compress_type not in PACKINGS:
            raise UserError(
                "wrong-file",
                f"Expected a zip file with deflate compression, but {entry.filename[:80]!r} in {path.name} has not; "
                "create it again.",
            )
        if parts in seen:
            raise UserError(
                "duplicate-entry", f"Expected each file once in {path.name}, but {entry.filename[:80]!r} occurs twice."
            )
        seen.add(parts)


def _parts(name: str) -> tuple[str, ...]:
    return PurePosixPath(name.replace("\\", "/")).parts


def _is_hidden(name: str) -> bool:
    """Return whether a file was added by the operating system."""
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in _parts(name))


def _innermost(folder: Path) -> Path:
    inside = list(folder.iterdir())
    while len(inside) == 1 and inside[0].is_dir():
        folder = inside[0]
        inside = list(folder.iterdir())
    return folder
