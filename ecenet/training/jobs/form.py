"""Conversion of the form of a run to checked command-line arguments."""

import difflib
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ecenet.common.distributed import only_cpu
from ecenet.common.errors import UserError
from ecenet.data.layouts.read import Layout, read_data
from ecenet.inference.weights import shipped_weights
from ecenet.training.command import Train
from ecenet.training.config import DataConfig, TrainConfig
from ecenet.training.presets import find_recipe, with_preset
from ecenet.training.settings import options
from ecenet.training.settled import settled

OPTIONS = set(options(TrainConfig(DataConfig(Path("data")), Path("out"))))
ASKED_FOR = {"data", "out", "layout", "preset"}
"""Options with a field of their own in the form, which are not accepted as further options."""
SMALL_BATCH = 4
"""Batch size for runs of a few minutes on a CPU: twice as many steps as with the default give better results."""


Field = Literal["name", "data", "start", "length", "more"]
"""Fields of the form that an error can concern: name, data, start weights, length, and further options."""


class FieldError(UserError):
    """An error in a field of the form."""

    def __init__(self, field: Field, error: UserError) -> None:
        super().__init__(error.code, error.message, **error.facts)
        self.field = field


@contextmanager
def about(field: Field) -> Iterator[None]:
    """Convert user errors in the block to errors of this field, unless they are field errors already."""
    try:
        yield
    except FieldError:
        raise
    except UserError as error:
        raise FieldError(field, error) from error


@dataclass(frozen=True)
class RunRequest:
    """The values of the form; None and "" use the preset's."""

    name: str
    data: str
    layout: Layout = "folder"
    preset: str | None = None
    start_from: str = ""
    """Name of included weights, a folder, or a Hub id."""
    backbone_weights: str = ""
    steps: int | None = None
    minutes: float | None = None
    """Maximum duration, used if neither `steps`, a preset nor further options specify the number of steps."""
    batch_size: int | None = None
    crop_size: int | None = None
    more: str = ""
    """Further options of `train`, as on the command line."""

    @property
    def lasts_minutes(self) -> bool:
        """Whether the number of steps is determined by the minutes."""
        named = (
            self.steps is not None or self.preset or any(group[0] == "--steps" for group in option_groups(self.more))
        )
        return self.minutes is not None and not named


def command_words(request: RunRequest, *, out: Path) -> list[str]:
    """Convert the form to arguments of `python -m ecenet`.

    Raises:
        FieldError: a field is invalid regardless of the data.
    """
    if not request.data.strip():
        with about("data"):
            raise UserError(
                "missing-value", "Expected the folder of a labelled data set, got nothing; enter the data folder."
            )
    words = ["train"]
    if request.preset:
        words += ["--preset", find_recipe(request.preset).name]
    words += ["--data", str(Path(request.data.strip()).expanduser()), "--out", str(out), "--layout", request.layout]
    if request.start_from.strip():
        words += ["--start-from", request.start_from.strip()]
    if request.backbone_weights.strip():
        words += ["--backbone-weights", str(Path(request.backbone_weights.strip()).expanduser())]
    with about("more"):
        more = [word for group in option_groups(request.more) for word in group]
        if request.lasts_minutes and request.batch_size is None and only_cpu():
            words += ["--batch-size", str(SMALL_BATCH)]  # later options take precedence
    for name in ("steps", "batch_size", "crop_size"):
        value = getattr(request, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words + more


def option_groups(text: str) -> list[list[str]]:
    """Split `--lr 1e-3 --no-pretrained` into options with their values.

    Raises:
        UserError: `train` does not have an option, or it has a field of its own.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(
            "invalid-value", f"Expected options with closed quotes, got {text[:80]!r}; correct them."
        ) from error
    groups: list[list[str]] = []
    for word in words:
        if not word.startswith("--"):
            if not groups:
                raise UserError(
                    "invalid-value", f"Expected options that start with --name, got {word!r}; correct them."
                )
            groups[-1].append(word)
            continue
        flag = word.partition("=")[0]
        name = flag[2:].replace("-", "_")
        if name in ASKED_FOR:
            raise UserError(
                "conflicting-options",
                f"Expected {flag} in its own field, got it among the further options; move it there.",
            )
        if name not in OPTIONS and name.removeprefix("no_") not in OPTIONS:
            close = difflib.get_close_matches(name, sorted(OPTIONS - ASKED_FOR), n=1)
            hint = f"did you mean --{close[0].replace('_', '-')}?" if close else "`train --help` lists all options."
            raise UserError("unknown-option", f"Expected options of `python -m ecenet train`, got {flag}; {hint}")
        groups.append([word])
    return groups


def check_settings(words: list[str], *, directory: Path | None = None) -> TrainConfig:
    """Check the options and the data of a run before it is started.

    Args:
        directory: base of relative paths; by default the current directory.
    Raises:
        FieldError: the first error found.
    """
    with about("more"):
        config = _parse(words)
    here = directory or Path()
    weights, data = config.start.backbone_weights, config.data
    with about("start"):
        if weights is not None and not (here / weights).is_file():
            raise UserError(
                "wrong-file",
                f"Expected a safetensors file with backbone weights, but there is no file {weights}; "
                "correct the path or clear the field.",
            )
        if config.start.start_from in shipped_weights():
            settled(config)
    with about("data"):
        for split in (data.train_split, data.val_split):
            read_data(here / data.folder, split, layout=data.layout)
    return config


def _parse(words: list[str]) -> TrainConfig:
    try:
        return _config(words)
    except SystemExit:
        pass
    # tyro reports errors on standard error only, which all threads share, so each option is tried separately.
    begins = [number for number, word in enumerate(words) if word.startswith("--")]
    groups = [words[begin:end] for begin, end in zip(begins, [*begins[1:], len(words)], strict=False)]
    for group in groups:
        try:
            _config(["train", "--data", "d", "--out", "o", *group])
        except SystemExit:
            raise UserError(
                "invalid-value",
                f"Expected valid options of `python -m ecenet train`, got {shlex.join(group)!r}; see `train --help`.",
            ) from None
    raise UserError(
        "conflicting-options", f"Expected options that can be combined, got {shlex.join(words)!r}; correct them."
    )


def _config(words: list[str]) -> TrainConfig:
    return tyro.cli(Train, args=with_preset(words)[1:], console_outputs=False).config
