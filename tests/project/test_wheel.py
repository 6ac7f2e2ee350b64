"""A wheel, built from the repository and installed elsewhere, is all that a user needs."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
import skimage.data

from ecenet import __version__
from ecenet.inference.weights import shipped_weights

ROOT = Path(__file__).parents[2]
CHELSEA = Path(skimage.data.__file__).parent / "chelsea.png"
SECONDS = 300


@pytest.fixture(scope="module")
def ecenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `ecenet` command of an environment of its own, which takes only what we depend on from this one."""
    folder = tmp_path_factory.mktemp("elsewhere")
    source = folder / "source"
    _copy_tracked_files(source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)])
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    binaries = folder / "env" / "bin"
    (installed,) = (folder / "env" / "lib").glob("python*/site-packages")
    (installed / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    _run([*pip, "--python", str(binaries / "python"), "install", "--quiet", "--no-deps", str(wheel)])
    return binaries / "ecenet"


def _copy_tracked_files(target: Path) -> None:
    """What a checkout holds; building in the repository would leave folders behind."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes((ROOT / name).read_bytes())


def _run(command: list[str], *, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_it_is_another_copy_of_the_package_and_knows_no_commit(ecenet: Path, tmp_path: Path) -> None:
    where = _run([str(ecenet.with_name("python")), "-c", "import ecenet; print(ecenet.__file__)"], cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(ecenet.parents[1])
    assert _run([str(ecenet), "--version"], cwd=tmp_path) == f"ECENet Explorer {__version__}\n"


def test_its_help_is_that_of_its_own_name(ecenet: Path, tmp_path: Path) -> None:
    assert _run([str(ecenet), "runs", "--help"], cwd=tmp_path).startswith("usage: ecenet runs")


def test_it_segments_a_photo_with_the_weights_that_came_along(ecenet: Path, tmp_path: Path) -> None:
    _run([str(ecenet), "predict", str(CHELSEA), "--out", str(tmp_path / "out")], cwd=tmp_path)
    (photo,) = json.loads((tmp_path / "out" / "summary.json").read_text())["images"]
    assert photo["classes"][0]["class"] == "cat"


@contextlib.contextmanager
def _served(ecenet: Path, folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log.txt").open("w") as log:
        command = [str(ecenet), "app", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=10):
                break
            time.sleep(0.2)
        assert process.poll() is None, (folder / "log.txt").read_text()
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def test_it_serves_the_page_with_its_scripts_and_styles(ecenet: Path, tmp_path: Path) -> None:
    with _served(ecenet, tmp_path) as address:
        page = urllib.request.urlopen(address, timeout=60).read().decode()
        config = json.loads(urllib.request.urlopen(f"{address}/config", timeout=60).read())
    assert "ECENet Explorer" in page
    assert ".ece-" in json.dumps(config["css"]), "the styles"
    pickers = [part["props"].get("choices") or [] for part in config["components"]]
    offered = {choice[0] for choices in pickers for choice in choices if isinstance(choice, list)}
    assert set(shipped_weights()) <= offered, "the weights"
