"""What a person asks of a run: a form in, checked words for the command line out."""

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
"""Options that the form has fields for and that no further option may replace."""
SMALL_BATCH = 4
"""Images a step on a CPU, where a run lasts minutes: twice as many steps as with the default learn more."""


Field = Literal["name", "data", "start", "length", "more"]
"""What a mistake in a form may be about: the run's name, its data, what it starts from, how long it is, the rest."""


class FieldError(UserError):
    """A mistake in one field of the form."""

    def __init__(self, field: Field, error: UserError) -> None:
        super().__init__(error.code, error.message, **error.facts)
        self.field = field


@contextmanager
def about(field: Field) -> Iterator[None]:
    """What is refused within is a mistake in this field, unless it is one in another already."""
    try:
        yield
    except FieldError:
        raise
    except UserError as error:
        raise FieldError(field, error) from error


@dataclass(frozen=True)
class RunRequest:
    """What the form asks for; None and empty leave it to the preset."""

    name: str
    data: str
    layout: Layout = "folder"
    preset: str | None = None
    start_from: str = ""
    """Name of shipped weights, a folder, or a Hub id."""
    backbone_weights: str = ""
    steps: int | None = None
    minutes: float | None = None
    """How long it may take where neither `steps`, a preset nor further options say how many steps it has."""
    batch_size: int | None = None
    crop_size: int | None = None
    more: str = ""
    """Further options of `train`, as on a command line."""

    @property
    def lasts_minutes(self) -> bool:
        """Whether its steps follow from its minutes."""
        named = (
            self.steps is not None or self.preset or any(group[0] == "--steps" for group in option_groups(self.more))
        )
        return self.minutes is not None and not named


def command_words(request: RunRequest, *, out: Path) -> list[str]:
    """The form as words after `python -m ecenet`.

    Raises:
        FieldError: a field that needs no data to be found wrong.
    """
    if not request.data.strip():
        with about("data"):
            raise UserError(
                "missing-value", "Expected the folder of a labelled data set, got nothing; fill in the data folder."
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
            words += ["--batch-size", str(SMALL_BATCH)]  # options behind it count
    for name in ("steps", "batch_size", "crop_size"):
        value = getattr(request, name)
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words + more


def option_groups(text: str) -> list[list[str]]:
    """`--lr 1e-3 --no-pretrained` → an option with its values each.

    Raises:
        UserError: an option that `train` does not have, or that has a field of its own.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(
            "invalid-value", f"Expected further options with closed quotes, got {text[:80]!r}; correct them."
        ) from error
    groups: list[list[str]] = []
    for word in words:
        if not word.startswith("--"):
            if not groups:
                raise UserError(
                    "invalid-value", f"Expected further options to begin with --name, got {word!r}; correct them."
                )
            groups[-1].append(word)
            continue
        flag = word.partition("=")[0]
        name = flag[2:].replace("-", "_")
        if name in ASKED_FOR:
            raise UserError(
                "conflicting-options", f"Expected {flag} in its own field, got it among further options; move it there."
            )
        if name not in OPTIONS and name.removeprefix("no_") not in OPTIONS:
            close = difflib.get_close_matches(name, sorted(OPTIONS - ASKED_FOR), n=1)
            hint = f"did you mean --{close[0].replace('_', '-')}?" if close else "`train --help` lists them all."
            raise UserError("unknown-option", f"Expected options of `python -m ecenet train`, got {flag}; {hint}")
        groups.append([word])
    return groups


def check_settings(words: list[str], *, directory: Path | None = None) -> TrainConfig:
    """What the run would find wrong with its options and its data's files, before it is started.

    Args:
        directory: what relative paths are relative to; where this process is by default.
    Raises:
        FieldError: the first of it.
    """
    with about("more"):
        config = _parse(words)
    here = directory or Path()
    weights, data = config.start.backbone_weights, config.data
    with about("start"):
        if weights is not None and not (here / weights).is_file():
            raise UserError(
                "wrong-file",
                f"Expected backbone weights in a safetensors file, but {weights} is none; "
                "correct the path or leave it empty.",
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
    # tyro says what is wrong on standard error alone, which all threads share; so each option is tried by itself.
    begins = [number for number, word in enumerate(words) if word.startswith("--")]
    groups = [words[begin:end] for begin, end in zip(begins, [*begins[1:], len(words)], strict=False)]
    for group in groups:
        try:
            _config(["train", "--data", "d", "--out", "o", *group])
        except SystemExit:
            raise UserError(
                "invalid-value",
                f"Expected options that `python -m ecenet train` takes, got {shlex.join(group)!r}; "
                "correct it, `train --help` tells how.",
            ) from None
    raise UserError(
        "conflicting-options", f"Expected options that fit together, got {shlex.join(words)!r}; correct them."
    )


def _config(words: list[str]) -> TrainConfig:
    return tyro.cli(Train, args=with_preset(words)[1:], console_outputs=False).config
