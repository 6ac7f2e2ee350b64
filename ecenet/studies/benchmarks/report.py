"""Tables of `benchmark-peers` with their measurement conditions, and the page that contains them."""

import json
import re
from pathlib import Path
from typing import Any

from ecenet.common.errors import UserError

BLOCK = re.compile(r"<!-- figures (?P<name>\S+): (?P<options>[^\n]*?) -->\n.*?<!-- end -->", re.DOTALL)
"""A block of the page for the results that `benchmark-peers` with these options writes to NAME.json next to it."""
FIGURE_KEYS = {"rows", "not_run", "command", "date", "machine", "versions"}


def figures_text(figures: dict[str, Any]) -> str:
    """Markdown of the result of `benchmark_peers`: conditions, one row per network, networks that did not run."""
    height, width = figures["size"]
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    threads = f", {figures['threads']} threads" if figures["device"] == "cpu" else ""
    lines = [
        f"`{figures['command']}`, {figures['date']}: images of {height}×{width}, {figures['classes']} classes, "
        f"{figures['precision']}, {figures['rounds']} rounds; {figures['machine']}{threads}; {versions}.",
        "",
        *_table(figures["rows"]),
    ]
    if figures["not_run"]:
        lines += ["", "Not there on this backbone:", ""]
    for reason in dict.fromkeys(figures["not_run"].values()):
        names = [name for name, other in figures["not_run"].items() if other == reason]
        lines.append(f"- {', '.join(names)}: {reason}.")
    return "\n".join(lines)


def filled_page(text: str, folder: Path) -> str:
    """The page with the table of every block regenerated from its file in `folder`; "not run" if there is no file.

    Raises:
        UserError: a file does not contain results of `benchmark-peers`.
    """

    def filled(block: re.Match[str]) -> str:
        name, options = block["name"], block["options"]
        path = folder / f"{name}.json"
        if path.is_file():
            content = figures_text(read_figures(path))
        else:
            content = f"Not run: `python -m ecenet benchmark-peers {options} --json {folder.name}/{name}.json`"
        return f"<!-- figures {name}: {options} -->\n{content}\n<!-- end -->"

    return BLOCK.sub(filled, text)


def read_figures(path: Path) -> dict[str, Any]:
    """Read a results file.

    Raises:
        UserError: the file was not written by `benchmark-peers`.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        figures = None
    if not isinstance(figures, dict) or not figures.keys() >= FIGURE_KEYS:
        raise UserError(
            "wrong-file",
            f"Expected results of benchmark-peers in {path}, got something else; write it again with "
            f"benchmark-peers --json {path}.",
        )
    return figures


def _table(rows: list[dict[str, Any]]) -> list[str]:
    batches = list(rows[0]["batches"]) if rows else []
    header = ["", "stands on", "parameters", "GFLOPs", "scores at"]
    for batch in batches:
        header += [f"ms, batch {batch}" if batch == "1" else f"images/s, batch {batch}", "× backbone", "peak MB"]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for row in rows:
        bare = row["name"] == row["backbone"]
        stride = row["scores_stride"]
        cells = [
            f"bare {row['name']}" if bare else row["name"],
            "" if bare else row["backbone"],
            f"{row['parameters'] / 1e6:.2f} M",
            f"{row['gigaflops']:.1f}",
            "" if stride is None else "full size" if stride == 1 else f"1/{stride}",
        ]
        for batch in batches:
            cells += _cells(row["batches"][batch], batch)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _cells(figures: dict[str, Any], batch: str) -> list[str]:
    """Time or throughput, ratio with its quartiles, and peak memory."""
    if "failed" in figures:
        return [f"failed: {figures['failed']}", "", ""]
    speed = figures["milliseconds"] if batch == "1" else figures["images_per_second"]
    ratio, peak = figures["ratio"], figures["peak_megabytes"]
    return [
        f"{speed:.1f}",
        "" if ratio is None else f"{ratio[1]:.2f} ({ratio[0]:.2f} … {ratio[2]:.2f})",
        "not measured" if peak is None else f"{peak:,.0f}",
    ]
