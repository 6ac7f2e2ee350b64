"""Commands for studies of the network and its embeddings."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, get_args

import tyro

from ecenet.cli.core import write_text
from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout
from ecenet.studies.options import Decoder, FewShotOptions, WarningOptions
from ecenet.training.config import TrainConfig


@dataclass(frozen=True)
class Compare:
    """Train and evaluate ECENet and other decoders with the same settings. Takes the options and presets of `train`."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str | None = None
    """Preset, as in `train`."""
    decoders: tuple[Decoder, ...] = get_args(Decoder)
    """Decoders to train: the rows of the table."""
    seeds: tuple[int, ...] = (0,)
    """Each decoder is trained once with each seed."""

    def run(self) -> None:
        from ecenet.studies.decoders import compare, comparison_table

        if not self.seeds or not self.decoders:
            raise UserError(
                "missing-value", "Expected at least one decoder and one seed, got none; give some after the option."
            )
        print(comparison_table(compare(self.config, decoders=self.decoders, seeds=self.seeds)))


@dataclass(frozen=True)
class Ablate:
    """Ablation study: train variants of ECENet with one part removed, replaced or added, and the authors' release, all
    with the same settings. Takes the options and presets of `train`."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str | None = None
    """Preset, as in `train`."""
    variants: tuple[str, ...] = ()
    """Variants to train: the rows of the table; all by default."""
    seeds: tuple[int, ...] = (0,)
    """Each variant is trained once with each seed."""
    segvit_backbone_weights: Path | None = None
    """safetensors file for the plain ViT of the SegViT variants, which cannot use --backbone-weights. A class token in
    it is ignored. For these variants, images are normalised as timm's weights of that ViT expect."""
    html: Path | None = None
    """File for plots; the tables are printed."""

    def run(self) -> None:
        from ecenet.studies.ablation_plot import ablation_page
        from ecenet.studies.ablation_tables import ablation_table, embeddings_table
        from ecenet.studies.ablation_variants import VARIANTS
        from ecenet.studies.ablations import ablate

        if not self.seeds:
            raise UserError("missing-value", "Expected at least one seed, got none; give numbers after --seeds.")
        findings = ablate(
            self.config,
            variants=self.variants or tuple(VARIANTS),
            seeds=self.seeds,
            segvit_backbone_weights=self.segvit_backbone_weights,
        )
        print(ablation_table(findings.miou))
        if findings.embeddings:
            print(f"\nQuality of the embeddings across photos:\n\n{embeddings_table(findings.embeddings)}")
        if self.html is not None:
            write_text(self.html, ablation_page(findings))


@dataclass(frozen=True)
class Consistency:
    """Test whether a large distance of an embedding to the centroid of its class predicts wrong masks."""

    bank: Path
    """Bank of training photos, written by `embed`, from which centroids and thresholds are computed."""
    val: Path
    """Bank of other photos, made with the same weights, on which the warnings are evaluated."""
    options: tyro.conf.OmitArgPrefixes[WarningOptions] = field(default_factory=WarningOptions)
    json: Path | None = None
    """File for the figures; the table is printed as well."""
    warning: Path | None = None
    """File for the confidence thresholds; the app reads `warning.json` beside the weights."""

    def run(self) -> None:
        from ecenet.analysis.diagnostics.mask_warnings import warning_json
        from ecenet.evaluation.bank_parquet import read_bank
        from ecenet.studies.failure_warning import figures_json, score_warnings, warnings_table
        from ecenet.studies.warning_thresholds import confidence_warning

        reference = read_bank(self.bank, own_classes=True)
        bank = read_bank(self.val, weights=reference.about["weights_hash"], own_classes=True)
        figures = score_warnings(reference, bank, self.options)
        print(warnings_table(figures))
        if self.json is not None:
            write_text(self.json, json.dumps(figures_json(figures), indent=1))
        if self.warning is not None:
            write_text(self.warning, warning_json(confidence_warning(figures, bank.about, self.options)))


@dataclass(frozen=True)
class Knockout:
    """Evaluate a labelled split with one part of the head switched off at a time."""

    data: Path
    """Folder of the data set."""
    layout: Layout = "folder"
    """Layout of the data."""
    split: str = "val"
    weights: str = DEFAULT_WEIGHTS
    """Name of included weights, a folder, or a Hub id."""
    limit: int | None = None
    """Use at most N images, evenly spread."""
    json: Path | None = None
    """File for the figures; the table is printed as well."""

    def run(self) -> None:
        from ecenet.data.layouts.read import read_data
        from ecenet.inference.predictor import Predictor
        from ecenet.studies.knockouts import knock_out_table, knock_outs_json, score_knock_outs

        data = read_data(self.data, self.split, layout=self.layout)
        scores = score_knock_outs(Predictor.from_weights(self.weights), data, limit=self.limit)
        print(knock_out_table(scores))
        if self.json is not None:
            write_text(self.json, json.dumps(knock_outs_json(scores), indent=1))


@dataclass(frozen=True)
class Faithfulness:
    """Measure leakage and robustness of similarity maps, in comparison with maps of untrained heads."""

    data: Path
    """Folder of the data set."""
    layout: Layout = "folder"
    """Layout of the data set."""
    split: str = "val"
    weights: str = DEFAULT_WEIGHTS
    """Name of included weights, a folder, or a Hub id."""
    stages: tuple[str, ...] = ()
    """Stages of the maps; all by default."""
    limit: int | None = None
    """Use only this many images, evenly spaced."""
    json: Path | None = None
    """File for the results as JSON; the table is printed as well."""

    def run(self) -> None:
        from ecenet.data.layouts.read import read_data
        from ecenet.inference.predictor import Predictor
        from ecenet.studies.map_checks import map_scores_json, map_table, score_maps

        data = read_data(self.data, self.split, layout=self.layout)
        scores = score_maps(Predictor.from_weights(self.weights), data, stages=self.stages, limit=self.limit)
        print(map_table(scores))
        if self.json is not None:
            write_text(self.json, json.dumps(map_scores_json(scores), indent=1))


@dataclass(frozen=True)
class Fewshot:
    """Measure few-shot segmentation: paint classes that the weights were not trained on in a few photos, and find them
    in others."""

    data: Path
    """Folder of a data set with other classes than the weights."""
    layout: Layout = "folder"
    """Layout of the data."""
    weights: str = DEFAULT_WEIGHTS
    """Name of included weights, a folder, or a Hub id."""
    support_split: str = "train"
    """Photos that are painted, by their ground truth."""
    query_split: str = "val"
    """Photos in which the classes are searched."""
    options: tyro.conf.OmitArgPrefixes[FewShotOptions] = field(default_factory=lambda: FewShotOptions(limit=20))
    image_size: int | None = None
    """Longest side in pixels of the network's input; by default that of the weights."""
    json: Path | None = None
    """File for the figures; the table is printed as well."""

    def run(self) -> None:
        from ecenet.data.layouts.read import read_data
        from ecenet.inference.predictor import Predictor
        from ecenet.studies.fewshot import few_shot, few_shot_table

        support, query = (
            read_data(self.data, split, layout=self.layout) for split in (self.support_split, self.query_split)
        )
        predictor = Predictor.from_weights(self.weights, image_size=self.image_size)
        result = few_shot(predictor, support, query, self.options)
        print(few_shot_table(result))
        if self.json is not None:
            write_text(self.json, json.dumps(result.to_json(), indent=1))
