"""Results of studies: what is kept goes on, what is foreign is told so."""

import json
from pathlib import Path

import pytest

from ecenet.studies.results import StudyResults, spread
from tests.support.refusals import refused


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    first = StudyResults(path, {"steps": 2})
    assert first.rows == {}
    first.rows["whole"] = {"0": 0.5}
    first.save()
    assert StudyResults(path, {"steps": 2}).rows == {"whole": {"0": 0.5}}
    with refused("changed-settings", path, "--out"):
        StudyResults(path, {"steps": 3})


def test_results_that_are_older_than_a_setting_go_on_without_it(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    older = StudyResults(path, {"steps": 2})
    older.rows["whole"] = {"0": 0.5}
    older.save()
    now = {"steps": 2, "architecture": "ecenet", "jaccard_weight": 0.0}
    assert StudyResults(path, now).rows == {"whole": {"0": 0.5}}
    with refused("changed-settings", path, "--out"):
        StudyResults(path, {**now, "jaccard_weight": 0.5})


def test_results_of_trainings_that_ignored_settings_go_on_with_what_they_really_did(tmp_path: Path) -> None:
    said = {"steps": 2, "frozen_steps": 3000, "frozen_stages": 1, "precision": "fp32"}
    path = tmp_path / "study.json"
    path.write_text(json.dumps({"settings": said, "results": {"whole": {"0": 0.5}}}))
    with refused("changed-settings", path, "--out"):
        StudyResults(path, said)
    did = said | {"frozen_steps": 0, "frozen_stages": 0, "precision": "auto"}
    results = StudyResults(path, did)
    assert results.rows == {"whole": {"0": 0.5}}
    results.save()
    assert StudyResults(path, did).rows == results.rows


@pytest.mark.parametrize("content", ["", '{"settings": ', "[]", "7", '{"fpn": {"miou": 0.5}}', "\0"])
def test_another_file_is_told_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "study.json"
    path.write_text(content)
    with refused("wrong-file", path, "--out"):
        StudyResults(path, {})
    assert path.read_text() == content, "whatever it is, it stays"


def test_mean_and_spread_in_percent() -> None:
    assert [spread([]), spread([0.5]), spread([0.5, 0.6])] == ["", "50.0", "55.0 ± 7.1"]
    assert [spread([0.01], sign="+"), spread([-0.01], sign="+")] == ["+1.0", "-1.0"]
