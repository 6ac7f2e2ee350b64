"""The command `predict`."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tqdm import tqdm

from ecenet.cli.core import make_folder
from ecenet.cli.photo_inputs import PhotoInput, photo_inputs
from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.common.files import replaced

if TYPE_CHECKING:
    from ecenet.inference.predictor import Predictor

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Predict:
    """Segment photos and write the results of every stage."""

    images: tyro.conf.Positional[tuple[str, ...]]
    """Photos to segment: files, folders, patterns such as '*.jpg', or - for standard input."""
    out: Path
    """Output folder, in which each photo gets a folder."""
    weights: str = DEFAULT_WEIGHTS
    """Name of included weights, a folder, or a Hub id."""
    opacity: float = 0.6
    """Opacity of the class colours in the overlay, 0 … 1."""
    min_confidence: float = 0.0
    """Pixels below this confidence, 0 … 1, get no class: 255 in the masks, grey in the overlays."""
    overwrite: bool = False
    """Replace existing results of the same names."""

    def run(self) -> None:
        from ecenet.inference.export import unique_names
        from ecenet.inference.oom_fallback import SteadyPredictor

        if not self.images:
            raise UserError(
                "missing-value", "Expected at least one photo, got none; give image files after the command."
            )
        if not 0 <= self.opacity <= 1:
            raise UserError(
                "out-of-range",
                f"Expected --opacity between 0 and 1, got {self.opacity}; choose a number in that range.",
            )
        if not 0 <= self.min_confidence <= 1:
            raise UserError(
                "out-of-range",
                f"Expected --min-confidence between 0 and 1, got {self.min_confidence}; choose a number in that range.",
            )
        photos = photo_inputs(self.images)
        names = unique_names([photo.path for photo in photos])
        if not self.overwrite:
            _refuse_to_overwrite(self.out, [SUMMARY, *names])
        predictor = SteadyPredictor.from_weights(self.weights)
        make_folder(self.out)
        summaries: list[dict[str, object]] = []
        errors: list[str] = []
        for photo, name in zip(tqdm(photos, unit="photo"), names, strict=True):
            try:
                summaries.append({"file": photo.given, **self._predict(photo, self.out / name, predictor)})
            except UserError as error:
                # One bad photo must not stop the others.
                message = str(error) if photo.given in str(error) else f"{photo.given}: {error}"
                summaries.append({"file": photo.given, "error": str(error)})
                errors.append(message)
                if error.code == "disk-full":
                    break
        try:
            with replaced(self.out / SUMMARY) as partial:
                partial.write_text(json.dumps({"weights": self.weights, "images": summaries}, indent=1))
        except OSError as error:
            errors.append(
                f"Expected to write {self.out / SUMMARY}, but writing failed ({error.strerror}); free disk space."
            )
        written = sum("error" not in one for one in summaries)
        print(f"Wrote {written} of {len(photos)} photos to {self.out}")
        if errors:
            raise UserError("several-problems", "\n".join(errors))

    def _predict(self, photo: PhotoInput, folder: Path, predictor: "Predictor") -> dict[str, object]:
        """Segment one photo and write its results.

        Raises:
            UserError: it is not a usable image, or writing failed. In that case the folder is deleted, unless it
                existed before.
        """
        from ecenet.data.images import load_image
        from ecenet.inference.export import export_prediction
        from ecenet.inference.oom_fallback import memory_errors

        with memory_errors():
            image = load_image(photo.source(), max_pixels=predictor.max_pixels, partial=True)
        for note in image.notes:
            print(f"{photo.given}: {note}", file=sys.stderr)
        prediction = predictor.predict(image)
        was_there = folder.exists()
        try:
            return export_prediction(prediction, folder, opacity=self.opacity, min_confidence=self.min_confidence)
        except OSError as error:
            if not was_there:
                shutil.rmtree(folder, ignore_errors=True)
            raise UserError(
                "disk-full",
                f"Expected to write the results of {photo.given} to {folder}, but writing failed "
                f"({error.strerror or error}); free disk space or choose another --out. The results of earlier photos "
                "are complete.",
            ) from error


def _refuse_to_overwrite(out: Path, names: Sequence[str]) -> None:
    there = [name for name in names if (out / name).exists()]
    if there:
        shown = ", ".join(there[:3]) + (" and others" if len(there) > 3 else "")
        raise UserError(
            "name-taken",
            f"Expected a folder without earlier results of these photos, but {out} contains {shown}; choose another "
            "--out, or add --overwrite to replace them.",
        )
