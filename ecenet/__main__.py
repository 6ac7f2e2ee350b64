"""The command line: `python -m ecenet predict | evaluate | embed | train | recipes | runs | ship | push | …`, and
`python -m ecenet --version`."""

import io
import sys
from pathlib import Path

import tyro

from ecenet.cli.benchmarks import Benchmark, BenchmarkPage, BenchmarkPeers, BenchmarkTraining, BenchmarkViews
from ecenet.cli.convert import Convert
from ecenet.cli.core import App, Embed, Evaluate, Recipes, Runs, Ship
from ecenet.cli.data import Data
from ecenet.cli.hub import Push
from ecenet.cli.labels import Calibrate, Map, Relabel
from ecenet.cli.predict import Predict
from ecenet.cli.studies import Ablate, Compare, Consistency, Faithfulness, Fewshot, Knockout
from ecenet.common.errors import UserError
from ecenet.common.version import version_line
from ecenet.training.command import Train
from ecenet.training.presets import with_preset

Command = (
    Predict
    | App
    | Evaluate
    | Embed
    | Train
    | Recipes
    | Runs
    | Ship
    | Push
    | Compare
    | Ablate
    | Benchmark
    | BenchmarkTraining
    | BenchmarkViews
    | BenchmarkPeers
    | BenchmarkPage
    | Consistency
    | Faithfulness
    | Fewshot
    | Knockout
    | Convert
    | Map
    | Calibrate
    | Relabel
    | Data
)


def program_name() -> str:
    """Return the name for usage lines: `ecenet` for the installed command, else `python -m ecenet`."""
    return "ecenet" if Path(sys.argv[0]).stem == "ecenet" else "python -m ecenet"


def parse_command(arguments: list[str]) -> Command:
    """Parse the arguments of the command line to a command, without running it. Exits if an option does not exist.

    Raises:
        UserError: the preset does not exist, or the value of an option is invalid.
    """
    return tyro.cli(Command, prog=program_name(), description=__doc__, args=with_preset(arguments))


def main(arguments: list[str] | None = None) -> int:
    """Run a command. Returns its exit code: 0, 2 for invalid input, or 130 after Ctrl-C."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(version_line())
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        # So that lines reach a log file immediately and in order with those of standard error.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        command = parse_command(arguments)
        command.run()
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
