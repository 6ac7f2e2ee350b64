"""Endpoints that segment and explain a photo. Their docstrings are published as the API's documentation."""

import io
from pathlib import Path

import pyarrow.parquet as pq
from gradio.data_classes import FileData

from ecenet.analysis.diagnostics.centroid_distance import prediction_consistency, reference_centroids
from ecenet.analysis.diagnostics.faithfulness import Curve, score_map
from ecenet.analysis.diagnostics.mask_warnings import ConfidenceWarning
from ecenet.analysis.diagnostics.similarity_maps import overwritten
from ecenet.app.api.endpoint import Opened, endpoint, open_weights
from ecenet.app.api.schemas import (
    About,
    ClassPlace,
    ConsistencyReport,
    CurveReport,
    EmbedReport,
    FaithfulnessReport,
    SegmentReport,
    SimilarityReport,
    Warned,
)
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.reference_bank import find_bank, find_warning
from ecenet.app.state.selection import MIN_AREA, stage_of
from ecenet.app.state.session_zip import Entry, embeddings_table
from ecenet.app.tabs.faithfulness import RANDOM_ORDERS, STEPS
from ecenet.app.uploads.files import Upload, arrays, draw_maps, new_file, picture
from ecenet.common.errors import UserError
from ecenet.inference.export import coco_annotations, prediction_summary, unique_names
from ecenet.inference.least_confidence import above_confidence
from ecenet.inference.overlay import indexed_mask, overlay, side_by_side
from ecenet.inference.prediction import Prediction


class PhotoEndpoints:
    """Endpoints with the names of the methods."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    @endpoint
    def segment(
        self,
        photo: Upload,
        stage: str = "final",
        coco: bool = False,
        weights: str | None = None,
        min_confidence: float = 0.0,
    ) -> tuple[SegmentReport, FileData]:
        """Segment a photo: returns a label map (a palette PNG of class indices), the classes with area and mean
        confidence, and the agreement of every stage with the final mask. Photos with a side above 1024 pixels are
        scaled down.

        Args:
            photo: the photo, JPEG, PNG, WebP, AVIF, HEIC, GIF, TIFF or BMP.
            stage: stage whose mask is returned, coarse to fine: ece, stage4, stage3, stage2, stage1 or final.
            coco: whether to also return the masks as COCO annotations (compressed RLE).
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
            min_confidence: pixels below this confidence, 0 … 1, are 255 in the label map.
        Returns:
            a report with the label map, and the photo under the mask as a JPEG
        """
        _, prediction, about = self._predict(photo, weights)
        shown = above_confidence(prediction, min_confidence).stages[stage_of(prediction, stage)]
        colors = prediction.class_colors
        report: SegmentReport = {
            **about,
            **prediction_summary(prediction, shown=shown),
            "stage": stage,
            "label_map": picture(indexed_mask(shown.label_map, colors), f"label_map-{stage}.png"),
            "coco": coco_annotations(prediction, shown) if coco else None,
        }
        return report, picture(overlay(prediction.image, shown.label_map, colors), f"overlay-{stage}.jpg")

    @endpoint
    def similarity(
        self, photo: Upload, class_name: str, weights: str | None = None
    ) -> tuple[SimilarityReport, FileData]:
        """Compute the similarity maps of a class at all stages, coarse to fine, before any softmax: as arrays (.npz,
        one (h, w) map for each stage) and as pictures on a common colour scale from low to high. Also returns the share
        of the class embedding that each gate replaced by the mask's evidence or, with ecenet-release, the share of the
        evidence that it added.

        Args:
            photo: the photo.
            class_name: a class of the weights, such as cat; segment lists those of a photo.
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
        Returns:
            a report with arrays and pictures, and all pictures side by side as a JPEG
        """
        _, prediction, about = self._predict(photo, weights)
        k = prediction.class_index(class_name)
        maps = {name: stage.mask_logits[k] for name, stage in prediction.stages.items()}
        drawn = draw_maps(prediction.image, maps)
        report: SimilarityReport = {
            **about,
            "class": class_name,
            "low": drawn.low,
            "high": drawn.high,
            "maps": drawn.files(),
            "arrays": arrays(maps, "similarity.npz"),
            "overwritten": {name: float(shares[k]) for name, shares in overwritten(prediction).items()},
        }
        return report, picture(side_by_side(list(drawn.pictures.values())), "similarity.jpg")

    @endpoint
    def embed(self, photos: list[Upload], weights: str | None = None) -> EmbedReport:
        """Compute the class embeddings of photos as a Parquet table with the columns photo, stage, class, area,
        confidence and embedding. It has a row for each class that a stage assigns to any pixel. The final stage has no
        embeddings of its own.

        Args:
            photos: photos, up to the limit of a session (20 by default).
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
        Returns:
            a report with the table, its number of rows and the names of the photos
        """
        most = self.registry.limits.photos
        if not 0 < len(photos) <= most:
            raise UserError(
                "too-many", f"Expected 1 … {most} photos, got {len(photos)}; send them in several requests.", limit=most
            )
        opened = open_weights(self.registry, weights)
        names = unique_names([Path(photo.path) for photo in photos])
        predictions = [opened.predict(photo) for photo in photos]
        table = embeddings_table([Entry(name, one) for name, one in zip(names, predictions, strict=True)])
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        return {
            **opened.about,
            "photos": names,
            "rows": table.num_rows,
            "table": new_file(buffer.getvalue(), "embeddings.parquet"),
        }

    @endpoint
    def consistency(self, photo: Upload, stage: str = "final", weights: str | None = None) -> ConsistencyReport:
        """Compare the class embeddings of a photo with those of the reference photos, which the weights were trained
        on: the cosine distances to the centroid of the class and to the centroid of the nearest other class (rival).
            The
        margin is the difference; below 0 the embedding is closer to the rival. The distances are explanations. The
        warning is independent of them: warned is true if the mean confidence of the mask is below the threshold in
        warning, whose precision and recall were measured.

        Args:
            photo: the photo.
            stage: stage of the embeddings: ece, stage4, …; final uses those of the last stage before it.
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
        Returns:
            a report with one row for each class of the final mask, largest first
        """
        opened, prediction, about = self._predict(photo, weights)
        bank = find_bank(self.registry, opened.key)
        if bank is None:
            raise UserError(
                "unsupported-by-weights",
                f"Expected weights with reference photos, but {about['weights']} has none; choose other weights.",
            )
        name = stage_of(prediction, stage)
        name = bank.stages[-1] if name == "final" else name
        rows = prediction_consistency(prediction, reference_centroids(bank), stage=name, min_area=MIN_AREA)
        names, shown = prediction.class_names, prediction.stages[name]
        warning = find_warning(self.registry, opened.key)
        classes: list[ClassPlace] = [
            {
                "class": names[row.class_index],
                "area": float(shown.area[row.class_index]),
                "confidence": float(shown.mean_confidence[row.class_index]),
                "warned": warning is not None and warning.warns(shown, row.class_index),
                "distance": row.distance,
                "rival": None if row.rival is None else names[row.rival],
                "rival_distance": row.rival_distance,
                "margin": row.margin,
            }
            for row in rows
        ]
        return {
            **about,
            "stage": name,
            "reference_photos": len(bank.images),
            "warning": None if warning is None else _warned(warning, name),
            "classes": classes,
        }

    @endpoint
    def faithfulness(
        self, photo: Upload, class_name: str, stage: str = "final", weights: str | None = None
    ) -> FaithfulnessReport:
        """Test the faithfulness of a similarity map with three numbers, each with its baseline. Insertion: cells of the
        photo are revealed over a blurred copy, most similar first; the area under the curve should be larger than for
        random orders. Deletion: cells are blurred; the area should be smaller. Random heads: rank correlation with the
        maps of untrained heads on the same features; it should be near 0, otherwise the map shows the photo rather
        than what was learned. One photo proves little. Takes seconds.

        Args:
            photo: the photo.
            class_name: a class of the final mask.
            stage: stage of the map: ece, stage4, stage3, stage2, stage1 or final.
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
        Returns:
            a report with areas, curves and whether each test passed
        """
        opened, prediction, about = self._predict(photo, weights)
        found = score_map(
            opened.predictor,
            prediction,
            stage=stage_of(prediction, stage),
            class_index=prediction.class_index(class_name),
            steps=STEPS,
            random_orders=RANDOM_ORDERS,
        )
        curves = found.curves
        return {
            **about,
            "class": class_name,
            "stage": stage,
            "insertion": _curve(curves.insertion, curves.random_insertion, passed=found.insertion_passes),
            "deletion": _curve(curves.deletion, curves.random_deletion, passed=found.deletion_passes),
            "random_heads": {"correlation": found.correlation, "passed": found.is_learned},
        }

    def _predict(self, photo: FileData, weights: str | None) -> tuple[Opened, Prediction, About]:
        opened = open_weights(self.registry, weights)
        return opened, opened.predict(photo), opened.about


def _warned(warning: ConfidenceWarning, stage: str) -> Warned | None:
    found = warning.stages.get(stage)
    if found is None:
        return None
    return {"threshold": found.threshold, "precision": found.precision, "recall": found.recall}


def _curve(curve: Curve, random: Curve, *, passed: bool) -> CurveReport:
    return {
        "area": curve.area,
        "random_area": random.area,
        "passed": passed,
        "shares": curve.shares.tolist(),
        "scores": curve.scores.tolist(),
        "random_scores": random.scores.tolist(),
    }
