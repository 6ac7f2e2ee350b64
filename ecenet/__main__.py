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
    """As it was called: `ecenet` where the package is installed, else `python -m ecenet`."""
    return "ecenet" if Path(sys.argv[0]).stem == "ecenet" else "python -m ecenet"


def parse_command(arguments: list[str]) -> Command:
    """Turn command-line words into a command, whose `run` has not been called. Exits for options that do not exist.

    Raises:
        UserError: there is no such preset, or an option's value cannot be used.
    """
    return tyro.cli(Command, prog=program_name(), description=__doc__, args=with_preset(arguments))


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, or 2 for input that cannot be used."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(version_line())
        return 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In a log file, too, each line is there at once, and in its place among those of standard error.
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
