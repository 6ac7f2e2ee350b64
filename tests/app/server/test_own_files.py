"""What visitors gave to an app that was killed does not lie about for ever."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ecenet.app.server.shutdown import own_files

APP = """
import sys
from ecenet.app.server.shutdown import own_files
with own_files() as folder:
    (folder / "gradio").mkdir()
    (folder / "gradio" / "photo.png").write_bytes(b"a visitor's")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_the_next_app_removes_what_a_killed_one_left_and_nothing_else(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = temporary / "ecenet-explorer" / "a file that happens to lie beside them"
    ours.parent.mkdir()
    ours.touch()
    # Its input is closed with the block, so that it does not outlive a failure.
    with subprocess.Popen([sys.executable, "-c", APP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        theirs = Path(app.stdout.readline().strip())
        with own_files() as folder:
            assert folder.is_dir()
            assert (theirs / "gradio" / "photo.png").exists(), "that app is running"
        assert not folder.exists()
        app.send_signal(signal.SIGKILL)
        app.wait()
        assert (theirs / "gradio" / "photo.png").exists()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(temporary))  # as a new process has it
    with own_files() as folder:
        assert sorted(temporary.iterdir()) == sorted([folder, ours.parent])
    assert list(temporary.iterdir()) == [ours.parent]
    assert ours.exists()


def test_a_link_to_another_folder_is_not_followed(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "in-use").touch()
    (temporary / "ecenet-link").symlink_to(elsewhere)
    with own_files():
        pass
    assert (elsewhere / "in-use").exists()
