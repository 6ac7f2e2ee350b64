"""The endpoint for What-if experiments. Its docstring is published as the API's documentation."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from gradio.data_classes import FileData

from ecenet.analysis.diagnostics.comparison import compare, describe_changes
from ecenet.analysis.diagnostics.ground_truth import read_truth
from ecenet.analysis.interventions.make_class import make_class
from ecenet.analysis.interventions.mask_edits import StageMask, edit_mask, stage_mask
from ecenet.analysis.interventions.painted_class import PaintedClass, load_class, save_class, with_class
from ecenet.analysis.interventions.regions import read_region
from ecenet.analysis.interventions.scenario import KnockOuts, Scenario, Transplant, predict_scenario
from ecenet.app.api.endpoint import Opened, endpoint, open_weights
from ecenet.app.api.schemas import Example, MaskEdit, Move, Pooling, WhatIfReport
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import stage_of
from ecenet.app.uploads.files import Upload, arrays, draw_maps, new_file, picture
from ecenet.app.widgets.download import file_stem
from ecenet.common.errors import UserError, room_for
from ecenet.inference.export import stage_arrays
from ecenet.inference.overlay import indexed_mask, overlay, side_by_side
from ecenet.inference.prediction import Prediction

MAX_PARTS = 20
"""Largest number of examples, painted classes or edits of one call, which would keep others waiting."""


class WhatIfEndpoint:
    """The endpoint `what_if`."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    @endpoint
    def what_if(
        self,
        photo: Upload,
        examples: list[Example] | None = None,
        class_name: str = "painted",
        pooling: Pooling = "pyramid",
        prototypes: int = 3,
        painted_classes: list[Upload] | None = None,
        without: list[str] | None = None,
        edits: list[MaskEdit] | None = None,
        diverse: bool = True,
        attention_off: list[str] | None = None,
        updater_off: list[str] | None = None,
        gate: float | None = None,
        transplant: Move | None = None,
        truth: Upload | None = None,
        weights: str | None = None,
    ) -> tuple[WhatIfReport, FileData]:
        """Segment a photo with and without changes inside the network. All changes can be combined.

        Paint a class: the examples define a class (several examples: few-shot), which competes with all others but
        takes no part in edited masks. Edit masks: paint, erase (everywhere, without a region) or swap classes at a
        stage, or replace its mask by a label_map.
        Knock out parts of the head, or force its gates: 1 keeps the embeddings; in weights of the authors' release
        (ecenet-release), whose updater is a gated addition, 1 adds all of the masks' evidence to them.
        Transplant a class embedding from another photo. The report lists, for every stage, the share of pixels that
        changed, the area of each class before and after, its lost and gained pixels, the cosine distance between its
        embeddings before and after, and, with a ground truth, the mean IoU before and after.
        Files: the new label map, overlays, arrays of all maps, embeddings and gates (.npz), similarity maps of the
        last painted class as pictures, and the class made from the examples, for painted_classes of a later call.

        Args:
            photo: the photo.
            examples: [{"region": PNG, "photo": file}, …]; nonzero pixels are the region; photo defaults to this photo.
            class_name: name of the class made from the examples.
            pooling: of embeddings: mean, pyramid or prototypes; or backbone, which finds more of untrained objects.
            prototypes: number of prototypes, 1 … 16, for that pooling.
            painted_classes: files of painted classes from earlier responses, made with the same weights.
            without: classes to exclude, such as that of the whole object if a part of it is painted.
            edits: [{"stage": "ece", "action": "erase", "class_name": "cat", "region": PNG}, …], applied in order.
            diverse: false switches off the diverse branch of Feature Reconstruction.
            attention_off: stages (stage4 … stage1) whose features do not attend to the embeddings.
            updater_off: stages that do not update the embeddings.
            gate: 0 … 1, for all gates; 1 keeps embeddings, 0 takes masks' evidence; ecenet-release: 1 adds it, 0 none.
            transplant: {"photo": file, "class_name": "cat", "into": "dog", "t": 0.5}; t = 0 keeps the embedding of
                into, t = 1 replaces it.
            truth: ground-truth mask of the photo, a PNG of class indices, 255 = ignore.
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
        Returns:
            a report, and the photo before and after side by side as a JPEG
        """
        for name, given in (("examples", examples), ("painted_classes", painted_classes), ("edits", edits)):
            if given is not None and len(given) > MAX_PARTS:
                raise UserError(
                    "too-many", f"Expected at most {MAX_PARTS} {name}, got {len(given)}; send fewer.", limit=MAX_PARTS
                )
        opened = open_weights(self.registry, weights)
        before = opened.predict(photo)
        classes = _loaded(painted_classes or [], opened)
        made = None
        if examples:
            made = _painted(examples, before, opened, name=class_name, method=pooling, prototypes=prototypes)
            classes = with_class(classes, made, known=before.class_names)
        masks = _edited(edits or [], before, opened)
        scenario = Scenario(
            classes=classes,
            without=tuple(without or ()),
            masks=masks,
            knock_outs=KnockOuts(
                diverse=diverse,
                attention_off=tuple(stage_of(before, stage) for stage in attention_off or ()),
                updater_off=tuple(stage_of(before, stage) for stage in updater_off or ()),
                gate=gate,
            ),
            transplant=None if transplant is None else _moved(transplant, before, opened),
        )
        after = predict_scenario(opened.predictor, before, scenario)
        true_mask = None if truth is None else _label_map(truth, before, opened)
        overlays = [overlay(one.image, one.label_map, one.class_colors) for one in (before, after)]
        in_head = [one.name for one in classes if one.in_head]
        low, high, maps = _maps(after, in_head[-1] if in_head else None)
        report: WhatIfReport = {
            **opened.about,
            "class_names": after.class_names,
            "stages": describe_changes(compare(before, after, truth=true_mask), after),
            "enlarged": any(one.enlarged for one in classes) or any(one.enlarged for one in masks.values()),
            "label_map": picture(indexed_mask(after.label_map, after.class_colors), "label_map-after.png"),
            "overlay_before": picture(overlays[0], "overlay-before.jpg"),
            "overlay_after": picture(overlays[1], "overlay-after.jpg"),
            "arrays": arrays(stage_arrays(after), "arrays-after.npz"),
            "low": low,
            "high": high,
            "maps": maps,
            "painted_class": None if made is None else _class_file(made),
        }
        return report, picture(side_by_side(overlays), "before-after.jpg")


def _loaded(files: Sequence[FileData], opened: Opened) -> tuple[PaintedClass, ...]:
    classes: tuple[PaintedClass, ...] = ()
    for file in files:
        painted = load_class(Path(file.path), weights_hash=opened.about["weights_hash"])
        classes = with_class(classes, painted, known=opened.predictor.model.class_names)
    return classes


def _painted(
    examples: Sequence[Example], before: Prediction, opened: Opened, *, name: str, method: Pooling, prototypes: int
) -> PaintedClass:
    regions = []
    for one in examples:
        features = before.features
        if "photo" in one:
            features = opened.predictor.extract_features(opened.read(one["photo"]))
        regions.append((features, _region(one["region"], features.image.size, opened)))
    return make_class(
        opened.predictor,
        regions,
        name=name,
        method=method,
        prototypes=prototypes,
    )


def _edited(edits: Sequence[MaskEdit], before: Prediction, opened: Opened) -> dict[str, StageMask]:
    masks: dict[str, StageMask] = {}
    for edit in edits:
        stage = edit["stage"]
        masks[stage] = _changed(masks.get(stage) or stage_mask(before, stage), edit, before, opened)
    return masks


def _changed(mask: StageMask, edit: MaskEdit, before: Prediction, opened: Opened) -> StageMask:
    class_name, other = edit.get("class_name"), edit.get("other")
    region, label_map = edit.get("region"), edit.get("label_map")
    return edit_mask(
        mask,
        edit["action"],
        class_index=None if class_name is None else before.class_index(class_name),
        other=None if other is None else before.class_index(other),
        region=None if region is None else _region(region, before.image.size, opened),
        label_map=None if label_map is None else _label_map(label_map, before, opened),
    )


def _region(file: FileData, size: tuple[int, int], opened: Opened) -> np.ndarray:
    return read_region(Path(file.path), size=size, max_pixels=opened.predictor.max_pixels)


def _label_map(file: FileData, before: Prediction, opened: Opened) -> np.ndarray:
    size, names = before.image.size, before.class_names
    return read_truth(file.path, size=size, class_names=names, max_pixels=opened.predictor.max_pixels).mask


def _moved(move: Move, before: Prediction, opened: Opened) -> Transplant:
    source = opened.predict(move["photo"])
    given = source.class_index(move["class_name"])
    into = before.class_index(move["into"]) if "into" in move else given
    return Transplant(source=source, class_index=given, into=into, t=move.get("t", 1.0))


def _maps(after: Prediction, class_name: str | None) -> tuple[float | None, float | None, dict[str, FileData]]:
    """Draw the similarity maps of a painted class that has an embedding; returns the ends of their scale and the files.
    Without ECE, since painted classes take no part in its mask."""
    if class_name is None:
        return None, None, {}
    k = after.class_index(class_name)
    drawn = draw_maps(
        after.image, {name: stage.mask_logits[k] for name, stage in after.stages.items() if name != "ece"}
    )
    return drawn.low, drawn.high, drawn.files()


def _class_file(painted: PaintedClass) -> FileData:
    with room_for("the painted class"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{file_stem(painted.name)}.safetensors"
        save_class(painted, path)
        return new_file(path.read_bytes(), path.name)
