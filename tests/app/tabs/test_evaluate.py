"""The Evaluate tab: which bank it shows, what its cells open, what it refuses."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ecenet.analysis.diagnostics.bank_statistics import stage_confusion
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session, new_session
from ecenet.app.tabs.evaluate import tab as evaluate
from ecenet.app.tabs.evaluate.images import Listing, image_cards, image_names, open_data, open_image
from ecenet.app.tabs.evaluate.tables import MAX_CLASSES, confusion_table
from ecenet.common.errors import UserError
from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation import embedding_quality
from ecenet.evaluation.bank import EmbeddingBank, bank_image, bank_quality, embed_split
from ecenet.evaluation.bank_parquet import write_bank
from ecenet.evaluation.class_map import make_class_map
from ecenet.inference.overlay import marked_pixels
from ecenet.inference.prediction import stage_title
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import save_model
from tests.support.helpers import CLASS_NAMES, small_model, write_classes, write_folder
from tests.support.refusals import refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data"), splits=("val",), images=4)


@pytest.fixture(scope="module")
def bank(folder: Path) -> EmbeddingBank:
    return embed_split(Predictor(small_model()), read_folder(folder, "val"))


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    save_model(small_model(), tmp_path / "own")
    return ModelRegistry(tmp_path / "own", runs=tmp_path / "runs")


def cell(registry: ModelRegistry, session: Session, opened: EmbeddingBank | None, **data: Any) -> Listing:
    return evaluate.cell_listing(session, Selection(), opened, data, registry=registry)


def test_without_a_bank_it_says_how_to_make_one(registry: ModelRegistry) -> None:
    about, *rest = evaluate.render(new_session(registry), Selection(), None, registry=registry)
    assert "python -m ecenet embed" in about
    assert rest == ["", None, ""]


def test_a_bank_beside_the_weights_is_shown_and_says_what_it_is(
    registry: ModelRegistry, bank: EmbeddingBank, tmp_path: Path
) -> None:
    trained_on = replace(bank, about=bank.about | {"split": "train"})
    write_bank(trained_on, tmp_path / "own" / "bank.parquet")
    session = new_session(registry)
    about, matrix, worst, spreads = evaluate.render(session, Selection(stage="stage2"), None, registry=registry)
    assert "4 images" in about
    assert "trained on them" in about
    confusion = stage_confusion(bank, "stage2")
    cells = re.findall(r'data-truth="(\d)" data-predicted="(\d)"[^>]*--share:([\d.]+)', matrix)
    for truth, predicted, share in cells:
        row = confusion[int(truth)]
        assert float(share) == pytest.approx(row[int(predicted)] / row.sum(), abs=1e-3)
    true, seen = confusion.sum(axis=1) > 0, confusion.sum(axis=0) > 0
    assert len(cells) == true.sum() * (true | seen).sum()
    assert "Stage 2" in matrix
    assert worst is not None
    assert len(worst.rows) == 4
    assert image_names(worst, bank=bank).count("<li>") == 4
    assert all(name in spreads for name in CLASS_NAMES if name in re.findall(r"</span>(\w+)", spreads))

    about, *_ = evaluate.render(session, Selection(), bank, registry=registry)
    assert "trained on them" not in about, "what the visitor opened comes first"
    save_model(small_model(seed=1), tmp_path / "own")
    about, *_ = evaluate.render(session, Selection(), bank, registry=registry)
    assert "no bank" in about, "both are of other weights"


def test_a_matrix_of_many_classes_shows_the_largest_and_the_others_together() -> None:
    count = MAX_CLASSES + 4
    names = [f"class {k}" for k in range(count)]
    confusion = np.diag(1000 - 30 * np.arange(count))
    confusion[0, count - 1] = 250  # the largest class taken for one of the others
    confusion[count - 1, 0] = 100
    page = confusion_table(confusion, names=names, title="Final", whole=False)
    assert len(re.findall(r"<button", page)) == MAX_CLASSES**2
    assert page.count('scope="row"') == page.count('scope="col"') == MAX_CLASSES + 1
    assert f"The {MAX_CLASSES} classes with most pixels; the 4 others" in page
    rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', page)
    shares = {name: [float(share) for share in re.findall(r"--share:([\d.]+)", cells)] for name, cells in rows}
    assert shares["class 0"][-1] == pytest.approx(250 / 1250, abs=1e-3)
    others = confusion[MAX_CLASSES:]
    assert shares["others"][0] == pytest.approx(100 / others.sum(), abs=1e-3)
    for values in shares.values():
        assert sum(values) == pytest.approx(1, abs=0.01), "no pixel is left out"

    whole = confusion_table(confusion, names=names, title="Final", whole=True)
    assert len(re.findall(r"<button", whole)) == count**2
    assert "others" not in whole
    for few in (3, MAX_CLASSES + 1):
        page = confusion_table(confusion[:few, :few], names=names[:few], title="Final", whole=False)
        assert "others" not in page, "a class alone is no others"


def test_all_classes_are_offered_only_where_some_are_left_out(registry: ModelRegistry, bank: EmbeddingBank) -> None:
    session = new_session(registry)
    assert evaluate.render_whole(session, Selection(), bank, registry=registry).visible is False
    assert evaluate.render_whole(session, Selection(), None, registry=registry).visible is False
    matrix = evaluate.render_matrix(session, Selection(), bank, True, registry=registry)
    assert matrix == evaluate.render(session, Selection(), bank, registry=registry)[1], "three classes are all"
    assert evaluate.render_matrix(session, Selection(), None, True, registry=registry) == ""


def test_a_cell_opens_the_images_behind_it(registry: ModelRegistry, bank: EmbeddingBank) -> None:
    session = new_session(registry)
    confusion = stage_confusion(bank, "stage1")  # the last that makes embeddings, for the final one
    truth, predicted = np.unravel_index(confusion.argmax(), confusion.shape)
    listing = cell(registry, session, bank, truth=int(truth), predicted=int(predicted))
    counts = [int(text.replace(",", "")) for _, text in listing.rows]
    assert sum(counts) == confusion.max()
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("data", [{}, {"truth": 0, "predicted": 3}, {"truth": "0", "predicted": 0}, {"truth": -1}])
def test_a_forged_cell_is_refused(registry: ModelRegistry, bank: EmbeddingBank, data: dict[str, Any]) -> None:
    with refused("unknown-choice", "class", "0 … 2"):
        cell(registry, new_session(registry), bank, **data)


def test_a_cell_without_a_bank_is_refused(registry: ModelRegistry) -> None:
    with refused("not-there-yet", "bank"):
        cell(registry, new_session(registry), None, truth=0, predicted=0)


def test_the_pixels_of_a_cell_are_those_of_the_confusion(
    bank: EmbeddingBank, folder: Path, registry: ModelRegistry
) -> None:
    confusion = stage_confusion(bank, "stage1")
    truth, predicted = (int(k) for k in np.unravel_index(confusion.argmax(), confusion.shape))
    listing = cell(registry, new_session(registry), bank, truth=truth, predicted=predicted)
    data = open_data(bank, f" {folder} ", "folder")
    assert data is not None
    for image, text in listing.rows:
        photo, mask = bank_image(bank, data, image)
        labels = Predictor(small_model()).predict(photo).stages["stage1"].label_map
        assert int(text.replace(",", "")) == listing.pixels(mask, labels).sum()
    page = image_cards(listing, bank=bank, data=data, predictor=registry.open("own"))
    assert page.count("data-image") == len(listing.rows)


def test_of_the_worst_images_all_wrong_pixels_are_meant() -> None:
    truth = np.array([[0, 1, 255]], dtype=np.uint8)
    labels = np.array([[0, 0, 0]], dtype=np.uint8)
    assert Listing("", "stage1", ()).pixels(truth, labels).tolist() == [[False, True, False]]
    assert Listing("", "stage1", (), (1, 0)).pixels(truth, labels).tolist() == [[False, True, False]]
    assert not Listing("", "stage1", (), (0, 1)).pixels(truth, labels).any()


def test_marked_pixels_are_tinted_and_the_others_grey() -> None:
    picture = np.asarray(marked_pixels(Image.new("RGB", (2, 1), (10, 200, 30)), np.array([[True, False]])))
    assert picture[0, 0, 0] > picture[0, 0, 2], "towards the mark's yellow"
    assert len(set(picture[0, 1])) == 1


def test_an_image_opens_with_its_truth_and_the_class_of_the_cell(
    bank: EmbeddingBank, folder: Path, registry: ModelRegistry
) -> None:
    data = read_folder(folder, "val")
    listing = Listing("", "stage1", ((2, "5"),), (0, 1))
    options: dict[str, Any] = {"listing": listing, "bank": bank, "data": data, "predictor": registry.open("own")}
    session, selection = open_image(new_session(registry), Selection(stage="stage2"), 2, **options)
    assert session.photos[0].name == "2"
    true_mask = session.photos[0].true_mask
    assert true_mask is not None
    assert np.array_equal(true_mask, data.load_mask(2))
    assert (selection.photo, selection.stage, selection.class_name) == (0, "stage2", CLASS_NAMES[1])
    for forged in (0, "2", None, -1, True, 2.0):
        with refused("unknown-choice", forged):
            open_image(session, selection, forged, **options)


def test_other_data_than_the_banks_is_refused(bank: EmbeddingBank, folder: Path, tmp_path: Path) -> None:
    assert open_data(bank, "  ", "folder") is None
    assert open_data(bank, None, "folder") is None, "a field that nobody has touched"
    with pytest.raises(UserError):
        open_data(bank, str(tmp_path / "nowhere"), "folder")
    fewer = read_folder(write_folder(tmp_path, splits=("val",), images=3), "val")
    with refused("wrong-data", "4 images", bank.images[0], "3 other", tmp_path):
        bank_image(bank, fewer, 0)
    renamed = replace(bank, images=[f"other/{name}" for name in bank.images])
    with refused("wrong-data", "4 images", renamed.images[0], "4 other", folder):
        bank_image(renamed, read_folder(folder, "val"), 0)


def test_the_plot_shows_the_quality_of_the_bank_at_every_stage(
    registry: ModelRegistry, bank: EmbeddingBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding_quality, "MIN_IOU", 0.05)
    session = new_session(registry)
    assert evaluate.render_quality(session, None, registry=registry).visible is False, "no bank"
    shown = evaluate.render_quality(session, bank, registry=registry)
    assert shown.visible
    figure = evaluate.quality_figure(bank)
    lines = {line.name: line for line in figure.data}
    assert list(lines) == ["Neighbour purity", "Silhouette", "Linear read-out"]
    quality = bank_quality(bank)
    for name, field in (("Neighbour purity", "purity"), ("Linear read-out", "linear")):
        assert list(lines[name].x) == [stage_title(stage) for stage in quality]
        values = [getattr(one, field) for one in quality.values()]
        assert list(lines[name].y) == [None if np.isnan(value) else value for value in values]


def test_a_bank_of_mapped_classes_marks_what_its_cells_count(registry: ModelRegistry, tmp_path: Path) -> None:
    root = write_folder(tmp_path / "data", splits=("val",), images=4)
    write_classes(root, names=["above", "lawn", "animal"])
    data = read_folder(root, "val")
    class_map = make_class_map(
        {"classes": {"grass": "lawn"}, "rest": "above"}, weights_names=CLASS_NAMES, data_names=data.labels.class_names
    )
    mapped = embed_split(Predictor(small_model()), data, class_map=class_map)
    _, matrix, worst, spreads = evaluate.render(new_session(registry), Selection(), mapped, registry=registry)
    assert worst is not None
    assert "lawn" in matrix
    assert "sky" not in matrix + spreads
    assert len({image for image, _ in worst.rows}) == len(worst.rows) == 4
    confusion = stage_confusion(mapped, "stage1")
    truth, predicted = (int(k) for k in np.unravel_index(confusion.argmax(), confusion.shape))
    listing = cell(registry, new_session(registry), mapped, truth=truth, predicted=predicted)
    for image, text in listing.rows:
        photo, mask = bank_image(mapped, data, image)
        labels = class_map.apply(Predictor(small_model()).predict(photo).stages["stage1"].label_map)
        assert int(text.replace(",", "")) == listing.pixels(mask, labels).sum()
    predictor = registry.open("own")
    assert image_cards(listing, bank=mapped, data=data, predictor=predictor).count("data-image") == len(listing.rows)
    with refused("wrong-classes"):
        open_image(new_session(registry), Selection(), 0, listing=listing, bank=mapped, data=data, predictor=predictor)
    write_bank(mapped, tmp_path / "own" / "bank.parquet")
    about, *_ = evaluate.render(new_session(registry), Selection(), None, registry=registry)
    assert "no bank" in about, "beside the weights lies one of their own classes"


def test_an_anonymous_bank_finds_its_images_by_number(folder: Path) -> None:
    data = read_folder(folder, "val")
    bank = embed_split(Predictor(small_model()), data, limit=2, anonymous=True)
    assert np.array_equal(bank_image(bank, data, 1)[1], data.load_mask(3)), "two of four: the first and the last"
