"""The figure on the model card, measured again where the data set is at hand."""

import json
import os
from pathlib import Path

import pytest

from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.evaluate import evaluate
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import WEIGHTS_DIR

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ECENET_DATA", ROOT.parent / "shared" / "data")) / "voc13"


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs the voc13 photos in {DATA.name}/ under ECENET_DATA")
def test_voc13_scores_what_its_card_says_and_the_final_mask_beats_the_coarse_one() -> None:
    result = evaluate(Predictor.from_weights("voc13"), read_folder(DATA, "val"), classes=9)
    stated = json.loads((WEIGHTS_DIR / "voc13" / "config.json").read_text())["recipe"]["figures"]["miou_9"]
    assert result.miou >= 0.65
    assert result.stages["final"] > result.stages["ece"] + 0.05
    assert result.stages == pytest.approx(stated, abs=0.01), "fp32 or bf16, other kernels: a point at most"
