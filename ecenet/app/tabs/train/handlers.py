"""The handlers of the Train tab's buttons. Errors appear below the field that they concern."""

from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from ecenet.app.error_reporting import log_refusal
from ecenet.app.tabs.train import data_view, live
from ecenet.app.tabs.train import render as run_view
from ecenet.app.tabs.train.form import FIELDS, run_request
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.data.prepare.trainable import TrainableData, trainable_data
from ecenet.training.jobs.data_store import data_store
from ecenet.training.jobs.form import Field, FieldError, RunRequest, about
from ecenet.training.jobs.launcher import free_name, measure_run, resume_run, start_run, stop_run
from ecenet.training.jobs.length import Measured, plan
from ecenet.training.jobs.status import run_reports

NO_DATA = "Expected a folder of labelled photos, got nothing; enter its path or drop a zip file."

MEASURING = "Measuring ten steps"


class Prepared(NamedTuple):
    """Data that was checked, so that the start need not check it again."""

    asked: tuple[str, Layout]
    """The values of the fields."""
    folder: str
    layout: Layout
    """The data to train on."""


def check_data(
    folder: str,
    layout: Layout,
    name: str,
    progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
    *,
    root: Path,
) -> list[Any]:
    """Check the data of the fields. Returns: folder, layout, name, `Prepared`, the summary, and the errors."""
    return _looked_at(folder, layout, name, root=root)


def check_zip(
    path: str | None,
    name: str,
    progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008
    *,
    root: Path,
) -> list[Any]:
    """Do the same as `check_data` with a zip file. The folder of its content is entered into the field."""
    return _looked_at(path or "", "folder", name, root=root, named_after=path)


def _looked_at(source: str, layout: Layout, name: str, *, root: Path, named_after: str | None = None) -> list[Any]:
    """Return the values of `check_data`.

    Args:
        named_after: path that a run without a name is named after, instead of the folder.
    """
    try:
        with about("data"):
            if not source.strip():
                raise UserError("missing-value", NO_DATA)
            found = trainable_data(Path(source.strip()).expanduser(), store=data_store(root), layout=layout)
            return _shown(found, name or free_name(Path(named_after or found.source), root=root))
    except FieldError as error:
        return [gr.skip(), gr.skip(), gr.skip(), None, gr.HTML(visible=False), *errors_of(error)]


def _shown(data: TrainableData, name: str) -> list[Any]:
    asked = (str(data.source), data.layout)
    found = gr.HTML(data_view.found(data), visible=True)
    return [*asked, name, Prepared(asked, str(data.folder), data.layout), found, *errors_of(None)]


def measure(
    prepared: Prepared | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
    *values: Any,
    root: Path,
) -> list[Any]:
    """Measure ten steps of the run that the form describes. Returns: `Measured`, and the errors."""
    progress(None, desc=MEASURING)
    try:
        return [measure_run(_request(prepared, *values), root=root), *errors_of(None)]
    except FieldError as error:
        return [None, *errors_of(error)]


def describe_length(measured: Measured | None, minutes: float) -> gr.HTML:
    """Show how many steps fit into the minutes; hidden without a measurement."""
    if measured is None:
        return gr.HTML(visible=False)
    return gr.HTML(run_view.length(plan(measured.times, minutes), measured.times), visible=True)


def begin(
    prepared: Prepared | None,
    measured: Measured | None,
    progress: gr.Progress = gr.Progress(),  # noqa: B008
    *values: Any,
    root: Path,
) -> list[Any]:
    """Start the run. Returns: the list of runs, and the errors."""
    try:
        request = _request(prepared, *values)
        with about("more"):
            measures = request.lasts_minutes and measured is None
        progress(None, desc=MEASURING if measures else "Starting")
        name = start_run(request, root=root, known=measured)
    except FieldError as error:
        return [gr.skip(), *errors_of(error)]
    return [gr.Dropdown(live.run_entries(run_reports(root)), value=name), *errors_of(None)]


def _request(prepared: Prepared | None, *values: Any) -> RunRequest:
    """Return the request. Data that was checked is not checked again."""
    name, data, preset, layout, *rest = values
    if prepared is not None and prepared.asked == (data.strip(), layout):
        data, layout = prepared.folder, prepared.layout
    return run_request(name, data, preset, layout, *rest)


def errors_of(error: FieldError | None) -> list[gr.HTML]:
    """Return the error messages of all fields, all of them empty except that of the error."""
    if error is not None:
        log_refusal("ecenet.app.tabs.train", error)
    return [_error(field, error) for field in FIELDS]


def _error(field: Field, error: FieldError | None) -> gr.HTML:
    if error is None or error.field != field:
        return gr.HTML(visible=False)
    return gr.HTML(run_view.field_error(str(error)), visible=True)


def stop(name: str | None, *, root: Path) -> None:
    """Request the run to stop."""
    stop_run(name, root=root)


def resume(name: str | None, *, root: Path) -> None:
    """Resume the run."""
    resume_run(name, root=root)
