"""The base of all endpoints: arguments are validated by their types, errors are one sentence, responses are JSON."""

import functools
import typing
from collections.abc import Callable
from inspect import signature
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

from gradio.data_classes import FileData
from pydantic import BaseModel, TypeAdapter, ValidationError

from ecenet.app.api.schemas import About
from ecenet.app.error_toasts import show_errors
from ecenet.app.state.model_registry import ModelRegistry, name_of
from ecenet.app.state.session import read_photo
from ecenet.common.errors import UserError
from ecenet.common.files import json_finite
from ecenet.data.images import RGBImage
from ecenet.inference.prediction import Prediction
from ecenet.inference.predictor import Predictor

E = TypeVar("E", bound="Endpoints")
P = ParamSpec("P")
T = TypeVar("T")


class Opened(NamedTuple):
    key: str
    """Key of the model in the `ModelRegistry`."""
    predictor: Predictor
    about: About

    def read(self, photo: FileData) -> RGBImage:
        """Read a photo.

        Raises:
            UserError: the file is not a usable image.
        """
        return read_photo(photo.path, max_pixels=self.predictor.max_pixels)

    def predict(self, photo: FileData) -> Prediction:
        """Read and segment a photo.

        Raises:
            UserError: the file is not a usable image.
        """
        return self.predictor.predict(self.read(photo))


class Endpoints(Protocol):
    """The object of a method that is decorated with `endpoint`."""

    registry: ModelRegistry


def endpoint(method: Callable[Concatenate[E, P], T]) -> Callable[Concatenate[E, P], T]:
    """Decorate a method as an endpoint, with validated arguments. Gradio publishes the types and the docstring, but
    does not check arguments and passes files as dictionaries.

    Raises:
        gr.Error: an argument has the wrong type, or the method raises a `UserError`.
    """
    hints = typing.get_type_hints(method, include_extras=True)
    known = signature(method)
    adapters = {name: TypeAdapter(hints[name]) for name in known.parameters if name in hints}

    @functools.wraps(method)
    def checked(self: E, *args: P.args, **kwargs: P.kwargs) -> T:
        given = known.bind(self, *args, **kwargs)
        context = {"max_bytes": self.registry.limits.bytes}
        for name, adapter in adapters.items():
            if name in given.arguments:
                given.arguments[name] = _checked(name, given.arguments[name], adapter, context)
        return _plain(method(*given.args, **given.kwargs))

    return show_errors(checked)


def _checked(name: str, value: object, adapter: TypeAdapter[Any], context: dict[str, int]) -> Any:
    try:
        return adapter.validate_python(value, context=context)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in (name, *problem["loc"]))
        if problem["type"] == "missing":
            raise UserError("missing-value", f"Expected {where}, but it is missing; add it.") from error
        if problem["type"] == "extra_forbidden":
            raise UserError(
                "unknown-option", f"Expected only the arguments on the API page, got {where}; remove it."
            ) from error
        wanted, came = problem["msg"].removeprefix("Input should be "), str(problem["input"])[:60]
        raise UserError("invalid-value", f"Expected {where} to be {wanted}, got {came!r}; see the API page.") from error


def _plain(value: Any) -> Any:
    """Convert a value to JSON types: files become dictionaries, and NaN becomes null."""
    match value:
        case BaseModel():
            return value.model_dump()
        case dict():
            return {key: _plain(entry) for key, entry in value.items()}
        case list():
            return [_plain(entry) for entry in value]
        case tuple():
            return tuple(_plain(entry) for entry in value)
    return json_finite(value)


def open_weights(registry: ModelRegistry, name: str | None) -> Opened:
    """Open weights by their name in the app's model list. A name is never used as a path or looked up elsewhere.

    Args:
        name: name of included weights, or the key of another entry of the list; None for the app's default.
    Raises:
        UserError: the list does not contain the name.
    """
    key = registry.initial
    if name is not None:
        keys = {name_of(choice.key): choice.key for choice in registry.choices()}
        if name not in keys:
            raise UserError(
                "unknown-choice", f"Expected weights among {', '.join(keys)}, got {name[:60]!r}; choose one of them."
            )
        key = keys[name]
    predictor = registry.open(key)
    return Opened(key, predictor, {"weights": name_of(key), "weights_hash": predictor.weights_hash})
