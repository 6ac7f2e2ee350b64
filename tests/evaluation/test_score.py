"""The figure on the model card, measured again where the data set is at hand."""

import json
import os
from pathlib import Path

import pytest

from ecenet.data.layouts.folder import read_folder
from ecenet.evaluation.class_map import make_class_map
from ecenet.evaluation.evaluate import evaluate
from ecenet.evaluation.propose_map import propose_map
from ecenet.inference.predictor import Predictor
from ecenet.inference.weights import WEIGHTS_DIR

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("ECENET_DATA", ROOT.parent / "shared" / "data"))
VOC21 = DATA / "voc21"


@pytest.mark.skipif(not (VOC21 / "images" / "val").is_dir(), reason="needs voc21/ with its photos under ECENET_DATA")
def test_everyday_scores_what_its_card_says_and_the_final_mask_beats_the_coarse_one() -> None:
    predictor, data = Predictor.from_weights("everyday"), read_folder(VOC21, "val")
    names = data.labels.class_names
    proposal = propose_map(predictor.model.class_names, names)
    to_voc21 = make_class_map(proposal.content, weights_names=predictor.model.class_names, data_names=names)
    result = evaluate(predictor, data, class_map=to_voc21)
    stated = json.loads((WEIGHTS_DIR / "everyday" / "config.json").read_text())["recipe"]["figures"]["miou_21"]
    assert result.stages["final"] > result.stages["ece"]
    assert result.stages == pytest.approx(stated, abs=0.01), "fp32 or bf16, other kernels: a point at most"
