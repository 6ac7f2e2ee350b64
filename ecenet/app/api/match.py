"""The endpoint that finds a pixel, a box or a class embedding of one photo in other photos."""

from gradio.data_classes import FileData

from ecenet.analysis.diagnostics.embedding_match import find_embedding
from ecenet.analysis.diagnostics.feature_match import BACKBONE, COSINE_SCALE, Found, find_box, find_place
from ecenet.analysis.diagnostics.similarity_maps import value_range
from ecenet.app.api.endpoint import endpoint, open_weights
from ecenet.app.api.schemas import MatchPlace, MatchReport
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.uploads.files import Upload, arrays, picture
from ecenet.common.errors import UserError
from ecenet.inference.overlay import side_by_side, similarity_overlay
from ecenet.inference.prediction import Prediction

PICTURE_HEIGHT = 320


class MatchEndpoint:
    """The endpoint `match`."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    @endpoint
    def match(
        self,
        photos: list[Upload],
        x: int,
        y: int,
        level: str = BACKBONE,
        weights: str | None = None,
        to_x: int | None = None,
        to_y: int | None = None,
        class_name: str | None = None,
    ) -> tuple[MatchReport, FileData]:
        """Find a pixel or a box of the first photo in the other photos: returns the place in each photo whose features
        have the highest cosine similarity, and the similarities of all places as arrays (.npz, one (h, w) map for each
        photo, by number). Or find the first photo's embedding of a class, which replaces that of each photo: the maps
        are then the resulting mask logits, and the best place has the highest. Photos with a side above 1024 pixels are
        scaled down first, and pixel coordinates refer to the scaled photo.

        Args:
            photos: two or more photos, up to the limit of a session.
            x: column of the pixel, or of a corner of the box, in the first photo, from the left; ignored with
                class_name.
            y: row of the pixel or corner, from the top.
            level: backbone, whose features find places of similar appearance, or a stage such as stage1, whose features
                find the same class. With class_name, the stage of the embedding; backbone then means final.
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
            to_x: column of the opposite corner of the box; only with to_y.
            to_y: row of the opposite corner of the box.
            class_name: a class of the weights, such as cat, whose embedding to find.
        Returns:
            a report with the best match in each photo, including the first, with its cosine similarity or, with
            class_name, its mask logit as score; and all maps side by side as a JPEG
        """
        most = self.registry.limits.photos
        if not 2 <= len(photos) <= most:
            raise UserError(
                "too-many", f"Expected 2 … {most} photos, got {len(photos)}; change the number of photos.", limit=most
            )
        opened = open_weights(self.registry, weights)
        predictions = [opened.predict(photo) for photo in photos]
        if class_name is not None:
            level = "final" if level == BACKBONE else level
            k = predictions[0].class_index(class_name)
            found = find_embedding(opened.predictor, predictions, k, stage=level)
        elif to_x is None and to_y is None:
            found = find_place(opened.predictor, predictions, _inside(predictions[0], x, y), level=level)
        else:
            box = (*_inside(predictions[0], x, y), *_inside(predictions[0], to_x, to_y))
            found = find_box(opened.predictor, predictions, box, level=level)
        low, high = value_range([one.similarity for one in found]) if class_name is not None else COSINE_SCALE
        pictures = [
            similarity_overlay(prediction.image, one.similarity, low=low, high=high, opacity=0.6)
            for prediction, one in zip(predictions, found, strict=True)
        ]
        same_height = [
            one.resize((max(1, round(one.width * PICTURE_HEIGHT / one.height)), PICTURE_HEIGHT)) for one in pictures
        ]
        report: MatchReport = {
            **opened.about,
            "level": level,
            "matches": [_place(one, is_cosine=class_name is None) for one in found],
            "arrays": arrays({str(number): one.similarity for number, one in enumerate(found)}, "match.npz"),
        }
        return report, picture(side_by_side(same_height), "match.jpg")


def _inside(prediction: Prediction, x: int | None, y: int | None) -> tuple[int, int]:
    """Return the pixel.

    Raises:
        UserError: the pixel is missing or outside the photo.
    """
    width, height = prediction.image.size
    if x is None or y is None or not (0 <= x < width and 0 <= y < height):
        raise UserError(
            "out-of-range",
            f"Expected a pixel of the first photo, x in 0 … {width - 1} and y in 0 … {height - 1}, got ({x}, {y}); "
            "choose one of these.",
        )
    return x, y


def _place(found: Found, *, is_cosine: bool) -> MatchPlace:
    x, y, value = found.best
    return {"x": x, "y": y, "cosine": value if is_cosine else None, "score": None if is_cosine else value}
