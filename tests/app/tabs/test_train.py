"""The Train tab as data: what each refresh sends, what the curves hold, and nothing at all in public."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest

from ecenet.analysis.embeddings.umap_worker import UmapWorker
from ecenet.analysis.plots.training import MAX_POINTS, loss_curves, miou_curves, separation_curves, thinned
from ecenet.app.layout import build_app
from ecenet.app.server.options import Options, is_public
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.tabs.train import form, handlers, live
from ecenet.app.tabs.train import render as run_view
from ecenet.inference.weights import save_model
from ecenet.training.jobs.status import run_reports
from ecenet.training.presets import RECIPES
from tests.support.helpers import noise_image, small_model, write_folder
from tests.support.refusals import refused

STAGES = {"ece": 0.4, "stage4": 0.5, "final": 0.6}
PICKER, STOP, RESUME, STATUS, LOG, LOSS, MIOU, SEPARATION, NUMBER, PICTURE, TIMER, SEEN, FINISHED, OPEN = range(14)


def write_run(folder: Path, *, entries: list[dict[str, Any]], samples: int = 0, started: str = "2026-01-01") -> None:
    (folder / "samples").mkdir(parents=True)
    settings = {"steps": 100, "data": "tiny", "batch_size": 4}
    description = {"arguments": ["train"], "directory": str(folder), "started": started, "settings": settings}
    (folder / "run.json").write_text(json.dumps(description))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    for number in range(1, samples + 1):
        noise_image(32, 16, seed=number).save(folder / "samples" / f"step-{20 * number:06}.jpg")


def logged(step: int) -> dict[str, Any]:
    return {"step": step, "total": 1.0, "final": 0.5, "stages": 1.5, "presence": 0.0, "diversity": 0.1, "seconds": 2.0}


def validated(step: int, *, final: float = 0.6) -> dict[str, Any]:
    stages = STAGES | {"final": final}
    return {"step": step, "val": {"miou": final, "stages": stages}, "separation": {"ece": 0.1, "final": 0.3}}


def refresh(root: Path, chosen: str | None = None, *, number: float = 1, seen: live.Seen | None = None) -> list[Any]:
    return live.refresh(chosen, number, seen or live.Seen(), root=root)


def skipped(value: object) -> bool:
    return value == gr.skip()


def test_no_runs_yet(tmp_path: Path) -> None:
    sent = refresh(tmp_path / "none")
    assert "No runs yet" in sent[STATUS]
    assert not sent[STOP].interactive
    assert not sent[RESUME].interactive
    assert not sent[TIMER].active
    assert sent[FINISHED] == ()
    assert not sent[OPEN].visible


def test_the_newest_run_is_shown_first_and_a_choice_stays(tmp_path: Path) -> None:
    write_run(tmp_path / "old", entries=[logged(20)])
    write_run(tmp_path / "new", entries=[logged(20), validated(20)], started="2026-02-01")
    sent = refresh(tmp_path)
    assert sent[PICKER].value == "new"
    assert sent[PICKER].choices == [("new · stopped", "new"), ("old · stopped", "old")]
    assert "step 20 of 100" in sent[STATUS]
    assert "best mIoU 60.0" in sent[STATUS]
    assert sent[RESUME].interactive
    assert refresh(tmp_path, "old")[PICKER].value == "old"
    assert refresh(tmp_path, "gone")[PICKER].value == "new"


def test_only_what_has_changed_is_sent_again(tmp_path: Path) -> None:
    write_run(tmp_path / "run", entries=[logged(20), validated(20)], samples=1)
    first = refresh(tmp_path)
    again = refresh(tmp_path, "run", seen=first[SEEN])
    unchanged = (PICKER, LOG, LOSS, MIOU, SEPARATION, NUMBER, PICTURE)
    assert all(skipped(again[output]) for output in unchanged)
    assert not any(skipped(first[output]) for output in unchanged)

    with (tmp_path / "run" / "metrics.jsonl").open("a") as log:
        log.write(json.dumps(logged(40)) + "\n")
    later = refresh(tmp_path, "run", seen=again[SEEN])
    assert not skipped(later[LOSS])
    assert skipped(later[PICTURE])


def test_pictures_follow_the_newest_unless_somebody_looks_back(tmp_path: Path) -> None:
    write_run(tmp_path / "run", entries=[validated(20)], samples=2)
    seen = refresh(tmp_path)[SEEN]
    noise_image(32, 16, seed=9).save(tmp_path / "run" / "samples" / "step-000060.jpg")
    assert refresh(tmp_path, "run", number=2, seen=seen)[NUMBER].value == 3
    back = refresh(tmp_path, "run", number=1, seen=seen)
    assert back[NUMBER].value == 1
    assert back[NUMBER].maximum == 3
    assert "Step 20 " in back[PICTURE].value
    assert "Step 40 " in live.replay("run", 2, root=tmp_path)
    assert "Step 60 " in live.replay("run", 99, root=tmp_path)
    assert live.replay("../run", 1, root=tmp_path) == ""


def test_a_failed_run_shows_the_end_of_its_log_as_text(tmp_path: Path) -> None:
    write_run(tmp_path / "run", entries=[])
    (tmp_path / "run" / "launch.json").write_text('{"arguments": [], "directory": "", "started": "", "pid": 1}')
    (tmp_path / "run" / "train.log").write_text("$ x\nError: no <b>good</b>\n")
    sent = refresh(tmp_path)
    assert sent[LOG].visible
    assert "no &lt;b&gt;good" in sent[LOG].value
    assert "no &lt;b&gt;good" in sent[STATUS]


def test_a_running_run_states_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "run", entries=[logged(20), logged(40), logged(60)])
    monkeypatch.setattr("ecenet.training.jobs.status.is_running", lambda folder: True)
    (run,) = run_reports(tmp_path)
    assert "40.0 images/s" in run_view.status(run), "20 steps of 4 images in 2 s"
    assert "about 4 s left" in run_view.status(run)
    sent = refresh(tmp_path)
    assert sent[TIMER].active
    assert sent[STOP].interactive
    assert not sent[RESUME].interactive


def test_curves_leave_out_what_is_not_there() -> None:
    entries = [logged(20), validated(20), logged(40), validated(40, final=0.7)]
    assert [trace.name for trace in loss_curves(entries).data] == ["Total", "Final mask", "Stages (sum)", "Diversity"]
    lines = {trace.name: trace for trace in miou_curves(entries).data}
    assert list(lines) == ["Coarse (ECE)", "Stage 4", "Final"]
    np.testing.assert_allclose(lines["Final"].y, [60, 70])
    assert list(lines["Final"].x) == [20, 40]
    assert [trace.name for trace in separation_curves(entries).data] == ["Coarse (ECE)", "Final"]
    for draw in (loss_curves, miou_curves, separation_curves):
        assert not draw([]).data
    unlabelled = {"step": 60, "val": {"miou": None, "stages": {"final": None}}}
    assert list(miou_curves([*entries, unlabelled]).data[-1].x) == [20, 40]


def test_long_logs_are_thinned_to_means_that_end_at_the_last_step() -> None:
    points = thinned([(step, float(step % 2)) for step in range(10_000)])
    assert len(points) <= MAX_POINTS
    assert points[-1][0] == 9999
    assert points[-1][1] == pytest.approx(0.5, abs=0.05)
    assert thinned([(1, 2.0), (2, None)]) == [(1, 2.0)]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_preset_brings_its_layout(recipe: Any) -> None:
    note, layout, start = form.describe_preset(recipe.name)
    assert start == form.NO_START, "its own options are those of another network"
    assert recipe.summary in note.value
    assert layout == recipe.options.get("layout", "folder")


def test_in_public_there_is_no_train_tab_to_call(tmp_path: Path, umap: UmapWorker) -> None:
    save_model(small_model(), tmp_path / "weights")
    registry = ModelRegistry(tmp_path / "weights", runs=tmp_path)
    here, public = (build_app(registry, umap=umap, runs=runs) for runs in (tmp_path, None))

    def ids(app: gr.Blocks) -> set[str]:
        return {component["props"].get("elem_id") for component in app.config["components"]}

    assert {"start-run", "stop-run", "run-picker"} <= ids(here)
    assert not {"start-run", "stop-run", "resume-run", "run-picker", "run-data"} & ids(public)
    assert "train-closed" in ids(public)
    modules = {getattr(getattr(event.fn, "func", event.fn), "__module__", "") for event in public.fns.values()}
    assert not any(".train." in module or "launch" in module for module in modules)


@pytest.mark.parametrize(
    ("options", "environment", "public"),
    [
        (Options(), {}, False),
        (Options(public=True), {}, True),
        (Options(), {"SPACE_ID": "someone/space"}, True),
        (Options(), {"GRADIO_SHARE": "True"}, True),
        (Options(), {"GRADIO_SHARE": "False"}, False),
    ],
)
def test_who_can_reach_the_app_decides(options: Options, environment: dict[str, str], public: bool) -> None:
    assert is_public(options, environment) == public


@pytest.mark.parametrize("number", [None, 7])
def test_empty_numbers_are_the_presets(number: int | None) -> None:
    text = "" if number is None else f" {number} "
    request = form.run_request("mine", "/data", "none", "folder", "none", "", text, text, "", "")
    assert (request.steps, request.batch_size, request.crop_size) == (number, number, None)


def test_fields_that_the_browser_never_made_are_empty() -> None:
    request = form.run_request("mine", "/data", "none", "folder", "none", None, None, None, None, None)
    assert request == form.run_request("mine", "/data", "none", "folder", "none", "", "", "", "", "")


def test_a_backbone_of_ones_own_takes_the_place_of_weights_to_start_from() -> None:
    request = form.run_request("mine", "/data", "none", "folder", "everyday", None, None, None, None, None)
    assert request.start_from == "everyday"
    request = form.run_request("mine", "/data", "none", "folder", "everyday", "own.safetensors", None, None, None, None)
    assert (request.start_from, request.backbone_weights) == ("", "own.safetensors")


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "ten", "1e3", "²", "--lr"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with refused("invalid-value", "Batch", 0, repr(text)):
        form.run_request("mine", "/data", "none", "folder", "none", "", "", text, "", "")


def shown_errors(sent: list[Any]) -> dict[str, str]:
    """What stands beside the fields, of answers that end with it."""
    return {
        field: error.value for field, error in zip(form.FIELDS, sent[-len(form.FIELDS) :], strict=True) if error.visible
    }


def test_data_is_shown_and_fills_the_fields(tmp_path: Path) -> None:
    root = write_folder(tmp_path / "my data", images=3)
    sent = handlers.check_data(f" {root} ", "folder", "", root=tmp_path / "r")
    folder, layout, name, prepared, found, *errors = sent
    assert (folder, layout, name) == (str(root), "folder", "my-data-1")
    assert prepared == handlers.Prepared((str(root), "folder"), str(root), "folder")
    assert "3 classes, 3 photos to train on, 3 to validate" in found.value
    assert found.value.count("<img") == 6
    assert not shown_errors(errors)
    assert handlers.check_data(str(root), "folder", "own", root=tmp_path / "r")[2] == "own", (
        "a name that is there stays"
    )


@pytest.mark.parametrize("folder", ["", "/nowhere <b>"])
def test_data_that_cannot_be_used_is_told_beside_its_field(tmp_path: Path, folder: str) -> None:
    sent = handlers.check_data(folder, "folder", "", root=tmp_path)
    assert set(shown_errors(sent)) == {"data"}
    assert "<b>" not in shown_errors(sent)["data"]
    assert sent[3] is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "../up"}, "name"),
        ({"data": "/nowhere"}, "data"),
        ({"backbone": "/nowhere.safetensors"}, "start"),
        ({"more": "--nothing 1"}, "more"),
        ({"steps": "0"}, "more"),
    ],
)
def test_a_start_that_is_refused_says_so_beside_the_field(tmp_path: Path, changes: dict[str, str], field: str) -> None:
    values = {"name": "mine", "data": str(write_folder(tmp_path / "data")), "preset": None, "layout": "folder"}
    values |= {"start": "none", "backbone": "", "steps": "9", "batch": "", "crop": "", "more": ""}
    sent = handlers.begin(None, None, gr.Progress(), *(values | changes).values(), 10, root=tmp_path / "runs")
    assert list(shown_errors(sent)) == [field]
    assert skipped(sent[0])
    assert not list((tmp_path / "runs").rglob("launch.json"))
