"""The command line: `python -m ecenet predict | evaluate | train | ship | benchmark`. `--help` tells more."""

import sys

import tyro

from ecenet.cli import Benchmark, Evaluate, Predict, Ship, Train
from ecenet.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, or 2 for input that cannot be used."""
    command = tyro.cli(
        Predict | Evaluate | Train | Ship | Benchmark, prog="python -m ecenet", description=__doc__, args=arguments
    )
    try:
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
