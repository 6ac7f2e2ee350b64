"""Links: an example photo with its stage, class, pixel and tab; whatever else a link says is left out."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest

from ecenet.app.sidebar.url import address_of, open_link, tab_id
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Photo, Session, new_session
from ecenet.inference.weights import save_model
from tests.support.helpers import small_model
from tests.support.predictions import STAGES, make_prediction

PREDICTION = make_prediction(np.zeros((2, 4), dtype=np.uint8))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    folder = tmp_path_factory.mktemp("weights")
    save_model(small_model(), folder)
    return ModelRegistry(folder, runs=folder / "runs")


def test_a_link_opens_what_it_was_made_from(registry: ModelRegistry) -> None:
    wanted = Selection(stage="stage3", class_name="grass", pixel=(12, 34))
    link = {"photo": "cat", "stage": "stage3", "class": "grass", "pixel": "12,34", "tab": "similarity"}
    session, selection = open_link(new_session(registry), Selection(), link, registry=registry)
    assert [(photo.name, photo.example) for photo in session.photos] == [("chelsea", "cat")]
    assert replace(selection, revision=0) == wanted
    assert dict(parse_qsl(address_of(session, selection, "similarity").removeprefix("?"))) == link


@pytest.mark.parametrize("link", [{}, {"photo": "/etc/passwd"}, {"stage": "ece"}, {"photo": "../../cat"}])
def test_without_an_example_nothing_happens(registry: ModelRegistry, link: dict[str, str]) -> None:
    before = new_session(registry), Selection()
    assert open_link(*before, link, registry=registry) == before


@pytest.mark.parametrize("pixel", ["", "1", "1,2,3", "-1,2", "99999,0", "1.5,2", "1e3,2", "a,b", "9" * 400])
def test_what_the_model_has_not_is_left_out(registry: ModelRegistry, pixel: str) -> None:
    link = {"photo": "cat", "stage": "stage9", "class": "<script>", "pixel": pixel}
    _, selection = open_link(new_session(registry), Selection(), link, registry=registry)
    assert replace(selection, revision=0) == Selection()


def test_a_visitors_own_photo_has_no_address() -> None:
    session = Session(stage_names=tuple(STAGES)).with_photo(Photo("chelsea", PREDICTION))
    assert address_of(session, Selection(), "segment") == ""
    assert address_of(Session(), Selection(), "segment") == ""


def test_addresses_are_escaped(tmp_path: Path) -> None:
    session = Session(stage_names=tuple(STAGES)).with_photo(Photo("x", PREDICTION, "cat & dog"))
    address = address_of(session, Selection(class_name="a=b", pixel=(1, 0)), tab_id("Class embeddings"))
    assert address == "?photo=cat+%26+dog&stage=final&class=a%3Db&pixel=1,0&tab=class-embeddings"
