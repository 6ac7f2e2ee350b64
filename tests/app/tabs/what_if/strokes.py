"""What the tests of the What if tab do again and again: paint a box, make a class of it."""

from types import SimpleNamespace
from typing import Any

import gradio as gr

from ecenet.app.state.experiment import Experiment
from ecenet.app.state.model_registry import ModelRegistry
from ecenet.app.state.selection import Selection
from ecenet.app.state.session import Session
from ecenet.app.tabs.what_if import handlers

HERE = Selection()


BOX = {"tool": "box", "points": [[4, 4], [30, 30]], "radius": 3}


def sent(data: Any) -> gr.EventData:
    return SimpleNamespace(_data=data)  # type: ignore[return-value]


def stroked(session: Session, *, selection: Selection = HERE, experiment: Experiment | None = None) -> Experiment:
    return handlers.add_stroke(session, selection, experiment or Experiment(), sent(BOX))


def made(session: Session, registry: ModelRegistry, experiment: Experiment, *, name: str = "mine") -> Experiment:
    return handlers.make_class(session, HERE, experiment, name, "mean", 3, registry=registry)
