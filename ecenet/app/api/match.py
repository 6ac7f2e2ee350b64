"""The endpoint that finds a pixel of one photo in other photos."""

from gradio.data_classes import FileData

from ecenet.analysis.diagnostics.feature_match import BACKBONE, find_place
from ecenet.app.api.endpoint import endpoint, open_weights
from ecenet.app.api.schemas import MatchReport
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.uploads.files import Upload, arrays, picture
from ecenet.common.errors import UserError
from ecenet.inference.overlay import side_by_side, similarity_overlay

PICTURE_HEIGHT = 320


class MatchEndpoint:
    """The endpoint `match`."""

    def __init__(self, registry: ModelRegistry) -> None:
        self.registry = registry

    @endpoint
    def match(
        self, photos: list[Upload], x: int, y: int, level: str = BACKBONE, weights: str | None = None
    ) -> tuple[MatchReport, FileData]:
        """Find a pixel of the first photo in the other photos: returns the place in each photo whose features have the
        highest cosine similarity to those at the pixel, and the similarities of all places as arrays (.npz, one (h, w)
        map for each photo, by number). Photos with a side above 1024 pixels are scaled down first, and pixel
        coordinates refer to the scaled photo.

        Args:
            photos: two or more photos, up to the limit of a session.
            x: column of the pixel in the first photo, from the left.
            y: row of the pixel, from the top.
            level: backbone, whose features find places of similar appearance, or a stage such as stage1, whose features
                find the same class.
            weights: a name from the app's model list, such as everyday; by default the weights of the app.
        Returns:
            a report with the best match in each photo, including the first, and all maps side by side as a JPEG
        """
        most = self.registry.limits.photos
        if not 2 <= len(photos) <= most:
            raise UserError(
                "too-many", f"Expected 2 … {most} photos, got {len(photos)}; change the number of photos.", limit=most
            )
        opened = open_weights(self.registry, weights)
        predictions = [opened.predict(photo) for photo in photos]
        width, height = predictions[0].image.size
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(
                "out-of-range",
                f"Expected a pixel of the first photo, x in 0 … {width - 1} and y in 0 … {height - 1}, got ({x}, {y}); "
                "choose one of these.",
            )
        found = find_place(opened.predictor, predictions, (x, y), level=level)
        low = min(float(one.similarity.min()) for one in found)
        pictures = [
            similarity_overlay(prediction.image, one.similarity, low=low, high=1.0, opacity=0.6)
            for prediction, one in zip(predictions, found, strict=True)
        ]
        same_height = [
            one.resize((max(1, round(one.width * PICTURE_HEIGHT / one.height)), PICTURE_HEIGHT)) for one in pictures
        ]
        report: MatchReport = {
            **opened.about,
            "level": level,
            "matches": [{"x": one.best.x, "y": one.best.y, "cosine": one.best.cosine} for one in found],
            "arrays": arrays({str(number): one.similarity for number, one in enumerate(found)}, "match.npz"),
        }
        return report, picture(side_by_side(same_height), "match.jpg")
