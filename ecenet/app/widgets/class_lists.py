"""Lists of classes for dropdowns, which Gradio filters by the typed letters."""

from ecenet.data.class_kinds import listed_order
from ecenet.inference.prediction import Prediction

CLASS_HELP = "type to search"


def class_choices(prediction: Prediction) -> list[str]:
    """Return all class names: those of the final mask by area, then other objects, then other surroundings."""
    names = prediction.class_names
    return [names[k] for k in listed_order(names, area=prediction.final.area)]
