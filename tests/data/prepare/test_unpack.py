"""Zips of labelled photos: unpacked where they belong, refused where they would reach elsewhere or fill the disk."""

import stat
import zipfile
from pathlib import Path

import pytest

from ecenet.data.prepare import unpack
from ecenet.data.prepare.unpack import unpack_zip
from tests.support.refusals import refused


def write_zip(path: Path, entries: dict[str, bytes], *, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return path


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_folders_around_the_photos_are_passed_and_what_systems_add_is_left_out(tmp_path: Path) -> None:
    entries = {"top/data/images/a.jpg": b"1", "top/data/masks/a.png": b"2", "__MACOSX/top/._a.jpg": b"3"}
    source = write_zip(tmp_path / "my photos.zip", entries | {"top/data/.DS_Store": b"4"})
    folder = unpack_zip(source, tmp_path / "store")
    assert files_below(folder) == {"images/a.jpg", "masks/a.png"}
    assert folder.relative_to(tmp_path / "store").parts[0].startswith("my-photos-")
    (folder / "images" / "a.jpg").write_bytes(b"still here")
    assert unpack_zip(source, tmp_path / "store") == folder, "the same file is not unpacked twice"
    assert (folder / "images" / "a.jpg").read_bytes() == b"still here"


@pytest.mark.parametrize(
    "name", ["../evil.png", "a/../../evil.png", "/evil.png", "\\evil.png", "C:\\evil.png", "..\\x.png"]
)
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    source = write_zip(tmp_path / "data.zip", {"fine.png": b"1", name: b"2"})
    with refused("file-unsafe", "data.zip"):
        unpack_zip(source, tmp_path / "store")
    assert files_below(tmp_path) == {"data.zip"}


def test_links_and_devices_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        link = zipfile.ZipInfo("images/a.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
    with refused("file-unsafe", "data.zip", "link"):
        unpack_zip(tmp_path / "data.zip", tmp_path / "store")
    assert files_below(tmp_path) == {"data.zip"}


def test_more_bytes_or_files_than_accepted_are_refused_before_any_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_zip(tmp_path / "data.zip", {"a.png": bytes(3000), "b.png": bytes(3000)})
    monkeypatch.setattr(unpack, "MAX_BYTES", 5999)
    with refused("file-too-large", "data.zip", limit=5999):
        unpack_zip(source, tmp_path / "store")
    monkeypatch.setattr(unpack, "MAX_BYTES", 6000)
    monkeypatch.setattr(unpack, "MAX_FILES", 1)
    with refused("too-many", "data.zip", 1, 2, limit=1):
        unpack_zip(source, tmp_path / "store")
    assert files_below(tmp_path) == {"data.zip"}


def test_a_size_that_is_forged_unpacks_no_more_than_it_states(tmp_path: Path) -> None:
    source = write_zip(tmp_path / "data.zip", {"a.png": bytes(100_000)})
    content = source.read_bytes()
    assert content.count((100_000).to_bytes(4, "little")) == 2
    source.write_bytes(content.replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with refused("file-damaged", "data.zip"):
        unpack_zip(source, tmp_path / "store")
    assert files_below(tmp_path) == {"data.zip"}


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(10)])
def test_what_is_no_zip_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.zip").write_bytes(content)
    with refused("file-damaged", "data.zip"):
        unpack_zip(tmp_path / "data.zip", tmp_path / "store")


def test_a_file_that_comes_twice_and_unusual_packings_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as packed:
        packed.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("a.png", b"2")
    with refused("duplicate-entry", "twice.zip"):
        unpack_zip(tmp_path / "twice.zip", tmp_path / "store")
    with refused("wrong-file", "data.zip"):
        unpack_zip(write_zip(tmp_path / "data.zip", {"a.png": b"1"}, packing=zipfile.ZIP_LZMA), tmp_path / "store")
