"""Ablation study: train variants of ECENet, SegViT and the authors' release with the same settings and seeds."""

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
"""mIoU of each stage by variant and seed (as a string, because JSON keys are strings)."""
Embeddings = dict[str, dict[str, dict[str, dict[str, float | None]]]]
"""Measures of `StageQuality` and `StageLayout` by variant, seed, stage and name; None if undefined. Results from before
these measures existed have none."""


class Findings(NamedTuple):
    """Results of an ablation study."""

    miou: Results
    embeddings: Embeddings


def ablate(
    config: TrainConfig,
    *,
    variants: Sequence[str],
    seeds: Sequence[int],
    segvit_backbone_weights: Path | None = None,
) -> Findings:
    """Train each variant with each seed for `config.steps`; compute the mIoU and embedding quality of every stage on
    `config.val_split`.

    Results are saved in `config.out` after each training; calling it again with the same settings resumes the study.

    Args:
        segvit_backbone_weights: weights for the plain ViT of the SegViT variants, see `Variant.applied`.
    Raises:
        UserError: as for `train` and `check_study`; an unknown variant; the folder contains results of other settings.
    """
    check_study(config, "run ablations")
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        raise UserError(
            "unknown-choice", f"Expected variants among {', '.join(VARIANTS)}, got {unknown[0]!r}; choose from these."
        )

    def applied(name: str, *, seed: int) -> TrainConfig:
        return VARIANTS[name].applied(config, seed=seed, segvit_backbone_weights=segvit_backbone_weights)

    for name in variants:
        applied(name, seed=config.seed)  # reject unsupported settings before training
    train_data, val_data, pixels = read_splits(config.data)
    # Rows from before a setting existed do not depend on it.
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
        new_model(applied(name, seed=config.seed), train_data)  # also reject networks that cannot be built
    device = this_process().device
    for seed, name in rest:
        varied = applied(name, seed=seed)
        torch.manual_seed(seed)  # initial weights of the head
        model = new_model(varied, train_data)
        candidate = Candidate(model, model.backbone.network)
        preparation = new_predictor(varied, model, device=device)
        title = f"{name}, seed {seed}"
        network = train_candidate(candidate, varied, train_data, pixels, preparation, title=title)
        assert isinstance(network, ECENet | ECENetRelease | SegViT), "same type as given"
        found = evaluate(new_predictor(varied, network, device=device), val_data, embeddings=True)
        results.rows.setdefault(name, {})[str(seed)] = found.stages
        results.embeddings.setdefault(name, {})[str(seed)] = embedding_figures(found)
        results.save()
    return Findings(
        {name: results.rows[name] for name in variants},
        {name: results.embeddings[name] for name in variants if name in results.embeddings},
    )


def embedding_figures(found: Evaluation) -> dict[str, dict[str, Any]]:
    """Measures of the embeddings by stage and name, with None for NaN. `rows` is that of `StageLayout`."""
    figures: dict[str, dict[str, Any]] = json_finite(
        {
            name: asdict(quality) | asdict(found.embedding_layout[name])
            for name, quality in found.embedding_quality.items()
        }
    )
    return figures
