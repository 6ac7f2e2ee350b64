"""Benchmark commands: a single model, the app's views, training, and ECENet compared with other networks."""

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
    """Time ECENet, other networks and their backbones in interleaved rounds, with random weights."""

    options: tyro.conf.OmitArgPrefixes[PeerOptions] = field(default_factory=PeerOptions)
    json: Path | None = None
    """File for the figures; a Markdown table is printed as well."""

    def run(self) -> None:
        from ecenet.studies.benchmarks.peers import benchmark_peers
        from ecenet.studies.benchmarks.report import figures_text

        figures = benchmark_peers(self.options)
        if self.json is not None:
            write_text(self.json, json.dumps(figures, indent=1))
        print(figures_text(figures))


@dataclass(frozen=True)
class BenchmarkPage:
    """Update the tables of a page from the files of figures beside it."""

    page: tyro.conf.Positional[Path] = Path("benchmarks/README.md")
    """Markdown page with a placeholder for each file of figures."""

    def run(self) -> None:
        from ecenet.studies.benchmarks.report import filled_page

        if not self.page.is_file():
            raise UserError(
                "file-missing", f"Expected a Markdown page, but there is no file {self.page}; check the path."
            )
        folder = self.page.resolve().parent
        write_text(self.page, filled_page(self.page.read_text(encoding="utf-8"), folder))
        print(f"Wrote {self.page}")


@dataclass(frozen=True)
class Benchmark:
    """Time one model in interleaved rounds; reports medians and ratios."""

    weights: str | None = None
    """Name of included weights, a folder, or a Hub id; random weights by default."""
    width: int = 480
    height: int = 360
    rounds: int = 30
    precision: Precision = "auto"
    """`auto` is bf16 if the hardware supports it natively."""
    json: Path | None = None
    """File for the figures; they are printed as well."""

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
    """Time the app's views after a click, and UMAP, and report the memory of a full session."""

    weights: str = DEFAULT_WEIGHTS
    """Name of included weights, a folder, or a Hub id."""
    rounds: int = 20

    def run(self) -> None:
        from ecenet.studies.benchmarks.views import benchmark_views

        print(json.dumps(benchmark_views(weights=self.weights, rounds=self.rounds), indent=1))


@dataclass(frozen=True)
class BenchmarkTraining:
    """Time training: real data against one repeated batch, and two processes against one. Takes the options of
    `train`."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]

    def run(self) -> None:
        from ecenet.studies.benchmarks.training import loading_ratio, process_ratio

        print(json.dumps(loading_ratio(self.config) | process_ratio(self.config), indent=1))
