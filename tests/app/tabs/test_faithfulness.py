"""The badge of the Similarity tab: three numbers beside what they should beat."""

from pathlib import Path

import numpy as np
import pytest

from ecenet.analysis.diagnostics.faithfulness import Curve, Faithfulness, MapScores
from ecenet.analysis.diagnostics.map_checks import Leakage, MapChecks
from ecenet.analysis.plots.faithfulness import faithfulness_curves
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import add_photo, new_session
from ecenet.app.tabs import faithfulness
from ecenet.app.tabs.faithfulness import badge_of, scored_map
from ecenet.inference.weights import save_model
from tests.support.helpers import noise_image, small_model
from tests.support.refusals import refused


def curve(score: float) -> Curve:
    return Curve(np.array([0.0, 1.0]), np.array([score, score]))


def marks(**scores: float) -> list[str]:
    names = ("deletion", "insertion", "random_deletion", "random_insertion")
    found = Faithfulness(*(curve(scores.get(name, 0.5)) for name in names))
    page = badge_of(MapScores(found, scores.get("correlation", 0.0)), title="<cat>")
    assert "<cat>" not in page
    return [mark for mark in page if mark in "✓✗"]


def test_each_number_is_held_to_what_it_should_beat() -> None:
    assert marks(insertion=0.6, deletion=0.4, correlation=0.1) == ["✓", "✓", "✓"]
    assert marks(insertion=0.4, deletion=0.6, correlation=0.9) == ["✗", "✗", "✗"]
    assert marks(insertion=0.6, deletion=0.6, correlation=-0.9) == ["✓", "✗", "✗"]
    assert marks()[:2] == ["✗", "✗"], "to be as good as chance is not enough"


def checked(**numbers: float) -> str:
    leakage, untrained = Leakage(numbers.get("outside", 0.1), 0.5), Leakage(numbers.get("untrained", 0.2), 0.5)
    checks = MapChecks(leakage, untrained, numbers.get("robustness", 0.9), 0.8)
    return badge_of(MapScores(Faithfulness(*[curve(0.5)] * 4), 0.0), title="cat", checks=checks)


def test_leakage_and_robustness_are_held_to_untrained_heads() -> None:
    page = checked()
    assert "✓ Leakage <b>0.10</b>, untrained 0.20" in page
    assert "✓ Robustness <b>0.90</b>, untrained 0.80" in page
    assert "✗ Leakage <b>0.30</b>" in checked(outside=0.3)
    assert "✗ Robustness <b>0.50</b>" in checked(robustness=0.5)
    assert "✓ Leakage <b>0.001</b>" in checked(outside=0.001)
    nothing = checked(outside=float("nan"))
    assert ">Leakage <b>–</b>" in nothing, "a class that fills the photo leaves nothing to leak into"


def test_the_selected_map_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faithfulness, "STEPS", 2)
    save_model(small_model(), tmp_path / "own")
    registry = ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")
    noise_image(64, 48).save(tmp_path / "photo.png")
    with refused("not-there-yet", "photo"):
        scored_map(new_session(registry), Selection(), registry=registry)
    session = add_photo(new_session(registry), str(tmp_path / "photo.png"), predictor=registry.open("own"))
    seen: list[int] = []

    def track(orders: object) -> object:
        for order in orders:  # type: ignore[attr-defined]
            seen.append(len(order))
            yield order

    page, figure = scored_map(session, Selection(stage="stage2"), registry=registry, track=track)  # type: ignore[arg-type]
    assert "at Stage 2" in page
    assert "Leakage" in page
    assert "Robustness" in page
    assert len(seen) == 1 + faithfulness.RANDOM_ORDERS
    assert [trace.name for trace in figure.data] == ["insertion", "insertion, random", "deletion", "deletion, random"]
    assert faithfulness_curves(Faithfulness(*[curve(0.5)] * 4), title="x").data[0].y.tolist() == [0.5, 0.5]
    absent = next(
        (
            name
            for k, name in enumerate(session.photos[0].prediction.class_names)
            if not (session.photos[0].prediction.label_map == k).any()
        ),
        None,
    )
    if absent is not None:
        with refused("not-enough-data", absent):
            scored_map(session, Selection(class_name=absent), registry=registry)
