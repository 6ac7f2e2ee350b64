"""From minutes to steps, and what ten steps really take."""

from pathlib import Path

import pytest

from ecenet.training.jobs.form import RunRequest
from ecenet.training.jobs.launcher import measure_run
from ecenet.training.jobs.length import LEAST_STEPS, plan
from ecenet.training.jobs.timing import StepTimes, time_steps
from tests.support.helpers import tiny_training, write_folder
from tests.support.refusals import refused

TINY = "--no-pretrained --embed-dim 8 --image-size 64 --crop-size 32 --workers 0 --precision fp32"


def test_the_steps_that_fit_fill_the_minutes() -> None:
    planned = plan(StepTimes(resting=1.0, whole=3.0, validation=6.0, begin=20.0), 10)
    # A fifth of 580 s has room for 19 validations, of which ten are made; 520 s are left for steps of 2 s on average.
    assert (planned.steps, planned.validate_every) == (260, 26)
    assert planned.seconds == pytest.approx(20 + 130 * 1 + 130 * 3 + 10 * 6)


def test_in_long_runs_the_backbone_learns_most_of_the_time() -> None:
    planned = plan(StepTimes(resting=0.1, whole=0.4, validation=1.0), 100)
    # 5,990 s for steps: 3,000 at 0.1 s, and 5,690 s at 0.4 s.
    assert planned.steps == pytest.approx(3000 + 5690 / 0.4, abs=1)


def test_a_run_has_some_steps_and_a_validation_however_slow_they_are() -> None:
    planned = plan(StepTimes(resting=60, whole=90, validation=1000), 2)
    assert (planned.steps, planned.validate_every) == (LEAST_STEPS, LEAST_STEPS)


def test_ten_steps_are_timed_and_nothing_is_written(tmp_path: Path) -> None:
    config = tiny_training(write_folder(tmp_path / "data"), tmp_path / "run")
    times = time_steps(config)
    assert min(times.resting, times.whole, times.begin) > 0
    assert times.validation > 1
    assert not (tmp_path / "run").exists()


def test_a_run_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    request = RunRequest("", str(write_folder(tmp_path / "data")), minutes=2, batch_size=2, more=TINY)
    measured = measure_run(request, root=tmp_path / "runs")
    assert measured.times.begin > 1, "loading torch is part of it"
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()] == []


def test_what_would_end_the_run_is_said_beside_its_length(tmp_path: Path) -> None:
    request = RunRequest("", str(write_folder(tmp_path / "data")), minutes=2, more=f"{TINY} --backbone nothing")
    with refused("training-failed", "nothing") as caught:
        measure_run(request, root=tmp_path / "runs")
    assert getattr(caught.value, "field", None) == "length"


@pytest.mark.parametrize(
    ("request_", "lasts"),
    [
        (RunRequest("a", "d", minutes=10), True),
        (RunRequest("a", "d"), False),
        (RunRequest("a", "d", minutes=10, steps=5), False),
        (RunRequest("a", "d", minutes=10, more="--steps 5"), False),
        (RunRequest("a", "d", minutes=10, preset="camvid-mobilenetv2"), False),
    ],
)
def test_minutes_count_where_nothing_else_says_how_long(request_: RunRequest, lasts: bool) -> None:
    assert request_.lasts_minutes == lasts
