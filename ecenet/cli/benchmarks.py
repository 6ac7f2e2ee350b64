"""Commands that time ECENet beside other networks; made as those in `cli.py`."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from ecenet.cli.core import write_text
from ecenet.common.errors import UserError
from ecenet.studies.benchmarks.options import PeerOptions


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
