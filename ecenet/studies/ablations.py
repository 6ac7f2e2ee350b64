"""Ablations: a part of ECENet left out, replaced or added, or put into SegViT, and its authors' release beside it;
trained alike, seed by seed."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.common.files import json_finite
from ecenet.evaluation.evaluate import evaluate
from ecenet.evaluation.scores import Evaluation
from ecenet.model.ecenet import ECENet
from ecenet.model.release import ECENetRelease
from ecenet.model.segvit import SegViT
from ecenet.studies.ablation_variants import VARIANTS
from ecenet.studies.results import StudyResults
from ecenet.studies.short_training import Candidate, check_study, shared_settings, train_candidate
from ecenet.training.config import TrainConfig
from ecenet.training.setup import new_model, new_predictor, read_splits

RESULTS_FILE = "ablation.json"

Results = dict[str, dict[str, dict[str, float]]]
"""mIoU of each stage by variant and seed (as text, since JSON has no other keys)."""
Embeddings = dict[str, dict[str, dict[str, dict[str, float | None]]]]
"""By variant, seed and stage: the measures of `StageQuality` and `StageLayout` by their names, None where there is no
figure. Nothing of trainings that are older than these measures."""


class Findings(NamedTuple):
    """What ablations found."""

    miou: Results
    embeddings: Embeddings


def ablate(
    config: TrainConfig,
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    segvit_backbone_weights: Path | None = None,
) -> Findings:
    """Train each variant with each seed for `config.steps`; on `config.val_split` score every stage, and measure what
    its embeddings know.

    What is done is kept in `config.out`; the same call goes on with the rest, seed by seed, so that a table can be
    made at any time.

    Args:
        segvit_backbone_weights: file for the plain ViT of SegViT's rows, see `Variant.applied`.
    Raises:
        UserError: as for `train`; settings that `check_study` refuses; an unknown variant; the folder holds results of
            other settings.
    """
    check_study(config, "leave parts out of")
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        raise UserError(
            "unknown-choice", f"Expected variants among {', '.join(VARIANTS)}, got {unknown[0]!r}; choose from these."
        )

    def applied(name: str, *, seed: int) -> TrainConfig:
        return VARIANTS[name].applied(config, seed=seed, segvit_backbone_weights=segvit_backbone_weights)

    for name in variants:
        applied(name, seed=config.seed)  # settings that one of them cannot have are told at once
    train_data, val_data, pixels = read_splits(config.data)
    # What came after the first results has no part in rows that are older.
    later = {
        "release": json.loads(json.dumps(asdict(config.release))),
        "segvit_backbone_weights": segvit_backbone_weights.name if segvit_backbone_weights else None,
    }
    settings = shared_settings(config, train_data) | later
    settings["segvit"] = json.loads(json.dumps(asdict(config.segvit)))
    results = StudyResults(
        config.out / RESULTS_FILE, settings, later={"release": later["release"], "segvit_backbone_weights": None}
    )
    rest = [(seed, name) for seed in seeds for name in variants if str(seed) not in results.rows.get(name, {})]
    for name in dict.fromkeys(name for _, name in rest):
        new_model(applied(name, seed=config.seed), train_data)  # so are networks that cannot be built
    device = this_process().device
    for seed, name in rest:
        varied = applied(name, seed=seed)
        torch.manual_seed(seed)  # of what the head starts from
        model = new_model(varied, train_data)
        candidate = Candidate(model, model.backbone.network)
        preparation = new_predictor(varied, model, device=device)
        title = f"{name}, seed {seed}"
        network = train_candidate(candidate, varied, train_data, pixels, preparation, title=title)
        assert isinstance(network, ECENet | ECENetRelease | SegViT), "it is what was given"
        found = evaluate(new_predictor(varied, network, device=device), val_data, embeddings=True)
        results.rows.setdefault(name, {})[str(seed)] = found.stages
        results.embeddings.setdefault(name, {})[str(seed)] = embedding_figures(found)
        results.save()
    return Findings(
        {name: results.rows[name] for name in variants},
        {name: results.embeddings[name] for name in variants if name in results.embeddings},
    )


def embedding_figures(found: Evaluation) -> dict[str, dict[str, Any]]:
    """What was measured of each stage's embeddings, in one dictionary a stage, with None for NaN. Its number of rows is
    that of `StageLayout`."""
    figures: dict[str, dict[str, Any]] = json_finite(
        {
            name: asdict(quality) | asdict(found.embedding_layout[name])
            for name, quality in found.embedding_quality.items()
        }
    )
    return figures
