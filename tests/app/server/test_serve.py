"""One version, options that are refused or that others follow from, and the container's file."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
import tyro
from gradio import route_utils

import ecenet
from ecenet.__main__ import main
from ecenet.app.server.blocks import Page
from ecenet.app.server.options import Options, is_public, is_shared
from ecenet.app.server.serve import serve
from ecenet.app.start import serve_app
from ecenet.app.state.limits import Limits
from ecenet.common.version import commit, version_line
from tests.support.refusals import assert_names
from tests.support.web.serving import Served

ROOT = Path(__file__).parents[3]


def test_a_share_link_is_public_however_it_is_asked_for() -> None:
    for arguments, environment in ((["--share"], {}), ([], {"GRADIO_SHARE": "True"})):
        options = tyro.cli(Options, args=arguments)
        assert is_shared(options, environment)
        assert is_public(options, environment)
    assert not is_shared(Options(public=True), {"SPACE_ID": "someone/space"})


def test_a_queue_for_nobody_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        serve_app(Options(queue=0))
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ")
    assert_names(line, "--queue", 1, 0)


def test_there_is_one_version_and_the_page_shows_it(
    api: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (footer,) = (one for one in api.client.config["components"] if one["props"].get("elem_id") == "version")
    assert version_line() in footer["props"]["value"]
    assert "https://arxiv.org/abs/2308.12894" in footer["props"]["value"]
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{version_line()}\n"
    assert ecenet.__version__ not in (ROOT / "pyproject.toml").read_text()
    monkeypatch.setenv("ECENET_COMMIT", "abc")
    assert commit() == "abc"
    assert version_line() == f"ECENet Explorer {ecenet.__version__} (abc)"


def test_a_machine_too_busy_to_show_the_page_at_once_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    take = route_utils.update_root_in_config

    def take_long(*args: Any) -> Any:
        time.sleep(3.5)
        return take(*args)

    monkeypatch.setattr(route_utils, "update_root_in_config", take_long)
    with Page(analytics_enabled=False) as page:
        gr.Markdown("here")
    serve(page, host="127.0.0.1", port=None, limits=Limits(), wait=False)
    try:
        assert "here" in httpx.get(page.local_url, timeout=30).text
    finally:
        page.close(verbose=False)


@pytest.mark.parametrize(
    ("given", "then"),
    [
        ({}, "1000 None"),
        ({"GOMP_SPINCOUNT": "7"}, "7 None"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None ACTIVE"),
    ],
)
def test_threads_give_way_to_other_processes_unless_told_otherwise(given: dict[str, str], then: str) -> None:
    code = """
import os, sys
import ecenet
assert "torch" not in sys.modules, "which reads it as it is loaded"
print(os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY"))
"""
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    told = subprocess.run([sys.executable, "-c", code], env=inherited | given, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.strip() == then, told.stderr


def test_the_container_runs_as_nobody_special_and_has_what_the_app_reads() -> None:
    """What its linter, part of `make check`, does not see."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    instructions = re.findall(r"^([A-Z]+) (.*)", text, re.MULTILINE)
    of = dict(instructions)
    assert of["USER"] == "1000"
    assert [name for name, _ in instructions][-2:] == ["ENTRYPOINT", "CMD"], "no step as root after the user's"
    options = tyro.cli(Options, args=json.loads(of["ENTRYPOINT"])[2:] + json.loads(of["CMD"]))
    assert (options.host, options.port, options.public) == ("0.0.0.0", int(of["EXPOSE"]), True)
    check = json.loads(of["HEALTHCHECK"].partition("CMD ")[2])
    assert f"http://127.0.0.1:{options.port}/health" in check[-1]


def test_what_the_container_holds_makes_the_page(tmp_path: Path) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for found in (path for pattern in allowed for path in ROOT.glob(pattern)):
        copy = tmp_path / found.relative_to(ROOT)
        copy.parent.mkdir(exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, copy)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("app.py", "requirements.txt", "LICENSE", "ecenet", "weights")
    }
    code = """
from ecenet.app.layout import build_app
from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.app.state.model_registry import ModelRegistry
umap = UmapWorker()
build_app(ModelRegistry("everyday"), umap=umap, runs=None)
umap.close()
print(build_app.__code__.co_filename)
"""
    built = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.stdout.split() == [str(tmp_path / "ecenet" / "app" / "layout.py")], built.stderr
