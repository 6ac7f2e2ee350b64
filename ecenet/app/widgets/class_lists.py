"""Lists of classes to choose from. Gradio's drop-downs offer what contains the letters that are typed."""

from ecenet.data.class_kinds import listed_order
from ecenet.inference.prediction import Prediction

CLASS_HELP = "type to search"


def class_choices(prediction: Prediction) -> list[str]:
    """All classes: those of the final mask by their area, then other things, then other scenes."""
    names = prediction.class_names
    return [names[k] for k in listed_order(names, area=prediction.final.area)]
