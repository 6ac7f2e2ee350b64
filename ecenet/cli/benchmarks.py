"""Commands that time: one model, what the app draws, trainings, and ECENet beside other networks."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from ecenet.cli.core import write_text
from ecenet.common.default_weights import DEFAULT_WEIGHTS
from ecenet.common.errors import UserError
from ecenet.studies.benchmarks.options import PeerOptions
from ecenet.training.config import HALF, Precision, TrainConfig


@dataclass(frozen=True)
class BenchmarkPeers:
    """Time ECENet, other networks and their bare backbones in interleaved rounds; random weights, figures of one run.

    Not a part of `benchmark`, which times one model with its weights: the two have no option in common but rounds.
    """

    options: tyro.conf.OmitArgPrefixes[PeerOptions] = field(default_factory=PeerOptions)
    json: Path | None = None
    """File to write the figures to; a Markdown table of them is printed as well."""

    def run(self) -> None:
        from ecenet.studies.benchmarks.peers import benchmark_peers
        from ecenet.studies.benchmarks.report import figures_text

        figures = benchmark_peers(self.options)
        if self.json is not None:
            write_text(self.json, json.dumps(figures, indent=1))
        print(figures_text(figures))


@dataclass(frozen=True)
class BenchmarkPage:
    """Make the tables of a page anew from the figures that lie beside it."""

    page: tyro.conf.Positional[Path] = Path("benchmarks/README.md")
    """Markdown with a place for each file of figures."""

    def run(self) -> None:
        from ecenet.studies.benchmarks.report import filled_page

        if not self.page.is_file():
            raise UserError("file-missing", f"Expected a page to fill, but there is no file {self.page}; name one.")
        folder = self.page.resolve().parent
        write_text(self.page, filled_page(self.page.read_text(encoding="utf-8"), folder))
        print(f"Wrote {self.page}")


@dataclass(frozen=True)
class Benchmark:
    """Time one model in interleaved rounds; figures are medians and ratios of one run."""

    weights: str | None = None
    """Name of shipped weights, a folder, or a Hub id; random weights without it."""
    width: int = 480
    height: int = 360
    rounds: int = 30
    precision: Precision = "auto"
    """`auto` is bf16 where the machine computes it natively."""
    json: Path | None = None
    """File to write the figures to; they are printed as well."""

    def run(self) -> None:
        from ecenet.studies.benchmarks.single import benchmark

        figures = benchmark(
            weights=self.weights,
            size=(self.width, self.height),
            rounds=self.rounds,
            half=HALF[self.precision],
        )
        text = json.dumps(figures, indent=1)
        print(text)
        if self.json is not None:
            write_text(self.json, text)


@dataclass(frozen=True)
class BenchmarkViews:
    """Time what the app draws after a click, and UMAP, and tell how much a full session holds."""

    weights: str = DEFAULT_WEIGHTS
    """Name of shipped weights, a folder, or a Hub id."""
    rounds: int = 20

    def run(self) -> None:
        from ecenet.studies.benchmarks.views import benchmark_views

        print(json.dumps(benchmark_views(weights=self.weights, rounds=self.rounds), indent=1))


@dataclass(frozen=True)
class BenchmarkTraining:
    """Time training: real data against one repeated batch, two processes against one; takes the options of `train`."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]

    def run(self) -> None:
        from ecenet.studies.benchmarks.training import loading_ratio, process_ratio

        print(json.dumps(loading_ratio(self.config) | process_ratio(self.config), indent=1))
