"""Ablations: a part of ECENet left out, replaced or added, or put into SegViT; trained alike, seed by seed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from ecenet.common.distributed import this_process
from ecenet.common.errors import UserError
from ecenet.evaluation.evaluate import evaluate
from ecenet.model.ecenet import ECENet
from ecenet.model.segvit import SegViT
from ecenet.studies.results import StudyResults, spread
from ecenet.studies.short_training import Candidate, check_study, shared_settings, train_candidate
from ecenet.training.config import TrainConfig
from ecenet.training.setup import new_model, new_predictor, read_splits

RESULTS_FILE = "ablation.json"


@dataclass(frozen=True)
class Variant:
    """A row of the table."""

    summary: str
    model: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ModelConfig` that differ from the whole."""
    loss: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `LossConfig` that differ."""
    segvit: Mapping[str, Any] | None = None
    """Fields of `SegViTConfig` that differ from plain SegViT, where the row is one of SegViT."""

    @property
    def against(self) -> str:
        """The row that it is compared with."""
        return "whole" if self.segvit is None else "segvit"

    def applied(self, config: TrainConfig, *, seed: int) -> TrainConfig:
        """The settings of its training. SegViT's plain ViT cannot have another backbone's file: its weights are timm's,
        or random without `pretrained`."""
        if self.segvit is not None:
            segvit, start = replace(config.segvit, **self.segvit), replace(config.start, backbone_weights=None)
            return replace(config, seed=seed, architecture="segvit", segvit=segvit, start=start)
        model, loss = replace(config.model, **self.model), replace(config.loss, **self.loss)
        return replace(config, seed=seed, model=model, loss=loss)


VARIANTS: dict[str, Variant] = {
    "whole": Variant("explicit embeddings, FR, pyramid, gated updater"),
    "learned": Variant("K learned vectors for explicit embeddings", {"embeddings": "learned"}),
    "no-fr": Variant("a 1×1 convolution for Feature Reconstruction", {"reconstruction": "off"}),
    "joined-fr": Variant("Feature Reconstruction's branches side by side, half as wide", {"reconstruction": "joined"}),
    "no-diversity": Variant("Feature Reconstruction without its diversity loss", {}, {"diversity_weight": 0.0}),
    "mean": Variant("a plain mean under the mask for the pyramid", {"extraction": "mean"}),
    "updater-off": Variant("embeddings as ECE made them, never updated", {"updater": "off"}),
    "updater-added": Variant("updates added, without a gate", {"updater": "added"}),
    "no-stand-ins": Variant("no learned stand-ins for classes that masks do not show", {"stand_ins": False}),
    "masks-anew": Variant("every stage's mask made anew instead of summed up", {"summed_masks": False}),
    "with-jaccard": Variant("a loss on the final map's IoU as well, Lovász-softmax", {}, {"jaccard_weight": 0.5}),
    "segvit": Variant("SegViT: learned vectors, no updater", segvit={}),
    "segvit-explicit": Variant("SegViT with explicit embeddings", segvit={"embeddings": "explicit"}),
    "segvit-updater": Variant(
        "SegViT with explicit embeddings and gated updater", segvit={"embeddings": "explicit", "updater": "gated"}
    ),
}
"""By the name of its row, an ablation of each part that the abstract names, in our design of it, and those of parts
that it does not name (joined-fr, no-stand-ins, masks-anew, with-jaccard). Other backbones are an option of the
training."""

Results = dict[str, dict[str, dict[str, float]]]
"""mIoU of each stage by variant and seed (as text, since JSON has no other keys)."""


def ablate(config: TrainConfig, *, variants: Sequence[str], seeds: Sequence[int]) -> Results:
    """Train each variant with each seed for `config.steps`, and score every stage on `config.val_split`.

    What is done is kept in `config.out`; the same call goes on with the rest, seed by seed, so that a table can be
    made at any time.

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
    for name in variants:
        VARIANTS[name].applied(config, seed=config.seed)  # settings that one of them cannot have are told at once
    train_data, val_data, pixels = read_splits(config.data)
    settings = shared_settings(config, train_data)
    settings["segvit"] = json.loads(json.dumps(asdict(config.segvit)))
    results = StudyResults(config.out / RESULTS_FILE, settings)
    device = this_process().device
    for seed in seeds:
        for name in variants:
            if str(seed) in results.rows.get(name, {}):
                continue
            varied = VARIANTS[name].applied(config, seed=seed)
            torch.manual_seed(seed)  # of what the head starts from
            model = new_model(varied, train_data)
            candidate = Candidate(model, model.backbone.network)
            preparation = new_predictor(varied, model, device=device)
            title = f"{name}, seed {seed}"
            network = train_candidate(candidate, varied, train_data, pixels, preparation, title=title)
            assert isinstance(network, ECENet | SegViT), "it is what was given"
            scored = new_predictor(varied, network, device=device)
            results.rows.setdefault(name, {})[str(seed)] = evaluate(scored, val_data).stages
            results.save()
    return {name: results.rows[name] for name in variants}


def ablation_table(results: Results) -> str:
    """Markdown: mIoU of the coarse and the final mask, and the difference to the whole (of SegViT's rows to plain
    SegViT) over the seeds that both have.

    ± is the standard deviation over seeds; a single seed has none.
    """
    lines = ["| | coarse mask | final mask | change of the final | seeds |", "|---|---|---|---|---|"]
    for name, by_seed in results.items():
        against = VARIANTS[name].against
        base = results.get(against, {}) if name != against else {}
        coarse, final = (
            [stages[stage] for stages in by_seed.values() if stage in stages] for stage in ("ece", "final")
        )
        common = [by_seed[seed]["final"] - base[seed]["final"] for seed in by_seed if seed in base]
        cells = [VARIANTS[name].summary, spread(coarse), spread(final), spread(common, sign="+"), str(len(by_seed))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
