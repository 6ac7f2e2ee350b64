"""ECENet beside other networks: what is built, counted and timed, and what the page tells of it."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
import tyro

from ecenet.__main__ import main
from ecenet.cli.benchmarks import BenchmarkPeers
from ecenet.studies.benchmarks import peers as benchmark_peers
from ecenet.studies.benchmarks.options import PeerOptions
from ecenet.studies.benchmarks.peer_memory import Ask, Memory, can_measure_cpu, peaks_on_cpu, weight_bytes
from ecenet.studies.benchmarks.peer_networks import Candidate, Setting, backbone_setting, build_peer
from ecenet.studies.benchmarks.peers import Conditions, check_room, conditions, entries, measure
from ecenet.studies.benchmarks.report import BLOCK, figures_text, filled_page, read_figures
from ecenet.studies.benchmarks.single import count_gigaflops, round_seconds
from tests.support.refusals import assert_names, refused

ALL: list[Candidate] = list(get_args(Candidate))
CLASSES = 7
PAGE = Path(__file__).parents[2] / "benchmarks" / "README.md"


def small_vit() -> Setting:
    """As for ViT-S, on smaller backbones."""
    setting = backbone_setting("vit-small")
    model = replace(setting.model, backbone="vit_tiny_patch16_224", embed_dim=16)
    assert setting.segvit is not None
    segvit = replace(setting.segvit, backbone="vit_tiny_patch16_224", embed_dim=12)
    return replace(setting, model=model, segvit=segvit, mix_transformer="b0")


def small_conditions(setting: Setting, candidates: list[Candidate], **changes: Any) -> Conditions:
    shared = Conditions(
        setting=setting,
        candidates=candidates,
        size=(64, 96),
        classes=CLASSES,
        batches=(1,),
        rounds=1,
        device=torch.device("cpu"),
        half=False,
    )
    return replace(shared, **changes)


@pytest.mark.parametrize(
    ("setting", "missing", "strides"),
    [
        (
            backbone_setting("mobilenetv2"),
            {"segvit", "segvit-updater", "smp-dpt"},
            {"ecenet": 4, "transformers-segformer": 4, "transformers-mask2former": 4},
        ),
        (
            small_vit(),
            {"smp-deeplabv3plus", "smp-fpn", "smp-upernet", "smp-segformer"},
            {
                "ecenet": 16,
                "segvit": 16,
                "segvit-updater": 16,
                "transformers-segformer": 4,
                "transformers-mask2former": 4,
            },
        ),
    ],
    ids=["cnn", "vit"],
)
def test_every_candidate_is_built_counted_and_timed_or_has_a_reason(
    setting: Setting, missing: set[str], strides: dict[str, int]
) -> None:
    """That the scores have a channel a class is asserted on the way."""
    figures = measure(small_conditions(setting, ALL), memory={})
    rows = {row["name"]: row for row in figures["rows"]}
    assert set(figures["not_run"]) == missing
    assert all(reason for reason in figures["not_run"].values())
    assert {name for name, row in rows.items() if row["backbone"] != name} == set(ALL) - missing
    for name in set(ALL) - missing:
        row = rows[name]
        limit = rows[row["backbone"]]
        assert row["parameters"] > limit["parameters"] > 1e6, name
        assert row["gigaflops"] > limit["gigaflops"] > 0.01, name
        assert row["scores_stride"] == strides.get(name, 1), name
        assert set(row["batches"]["1"]) == {"milliseconds", "images_per_second", "ratio", "peak_megabytes"}, name
        assert limit["batches"]["1"]["ratio"] is None


def test_ratios_are_those_of_the_same_round_and_a_network_that_failed_is_not_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = "mobilenetv2_100 at stride 16"
    asked: list[list[str]] = []

    def fake(calls: dict[str, Any], *, rounds: int, warm_up: int) -> dict[str, list[float]]:
        asked.append(list(calls))
        # Ratios 3, 3 and 1; that of the medians would be 2.
        times = {limit: [0.1, 0.2, 0.4], "ecenet": [0.3, 0.6, 0.4]}
        return {name: times[name] for name in calls}

    monkeypatch.setattr(benchmark_peers, "round_seconds", fake)
    memory = {
        limit: Memory(weights=7_000_000, peaks={1: 8_000_000, 2: 9_000_000}, failure=None),
        "ecenet": Memory(weights=10_000_000, peaks={2: 30_000_000}, failure="not enough memory"),
    }
    at = small_conditions(backbone_setting("mobilenetv2"), ["ecenet"], batches=(2, 1), rounds=3)
    rows = {row["name"]: row["batches"] for row in measure(at, memory=memory)["rows"]}
    assert rows["ecenet"]["2"] == {
        "milliseconds": 400.0,
        "images_per_second": 5.0,
        "ratio": [2.0, 3.0, 3.0],
        "peak_megabytes": 30.0,
    }
    assert rows[limit]["2"]["ratio"] is None
    assert rows["ecenet"]["1"] == {"failed": "not enough memory"}
    assert rows[limit]["1"]["milliseconds"] == 200.0
    assert asked == [[limit, "ecenet"], [limit]]


def test_rounds_run_every_candidate_in_turn_and_drop_the_warm_up() -> None:
    order: list[str] = []
    calls: dict[str, Callable[[], object]] = {name: partial(order.append, name) for name in ("a", "b")}
    seconds = round_seconds(calls, rounds=2, warm_up=1)
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_operations_of_attention_count() -> None:
    """Scores and values: two products of 3 heads, 5×5 cells and width 8."""
    query = torch.randn(1, 3, 5, 8)
    gigaflops = count_gigaflops(lambda: F.scaled_dot_product_attention(query, query, query))
    assert gigaflops == pytest.approx(2 * (2 * 3 * 5 * 5 * 8) / 1e9)


def test_bare_backbones_come_first_and_once() -> None:
    at = small_conditions(backbone_setting("vit-large"), ["ecenet", "smp-fpn", "smp-dpt", "transformers-mask2former"])
    assert [one.name for one in entries(at)] == [
        "vit_large_patch16_384 at stride 16",
        "Swin-L",
        "ecenet",
        "smp-dpt",
        "transformers-mask2former",
    ]


@pytest.mark.skipif(not can_measure_cpu(), reason="only Linux tells peaks of resident memory")
def test_a_process_of_its_own_tells_peak_memory() -> None:
    ask = Ask(
        backbone="mobilenetv2",
        candidate="ecenet",
        part="backbone",
        size=(256, 256),
        classes=CLASSES,
        batches=(5, 1),
        half=False,
        threads=1,
    )
    measured = peaks_on_cpu(ask)
    assert measured.failure is None
    backbone = build_peer("ecenet", backbone_setting("mobilenetv2"), classes=CLASSES).backbone
    assert measured.weights == weight_bytes(backbone)
    # The widest map has 96 channels on the grid of stride 2, and 16 of the same grid are its input.
    widest = (96 + 16) * 128 * 128 * 4
    grown = measured.peaks[5] - measured.peaks[1]
    assert 4 * widest * 0.9 < grown < 4 * widest * 4


def test_networks_that_find_no_room_together_are_refused() -> None:
    memory = [
        Memory(weights=1_000, peaks={1: 1_500}, failure=None),
        Memory(weights=2_000, peaks={1: 2_100, 4: 6_000}, failure=None),
    ]
    check_room(memory, free=7_000)
    with refused("out-of-memory", "--candidates"):
        check_room(memory, free=6_999)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--candidates", "ecenet", "unet"], ("ecenet", "'unet'")),
        (["--size", "64", "100"], ("--size", 32, "(64, 100)")),
        (["--batch", "0"], ("--batch", 1, "(0,)")),
        (["--rounds", "0"], ("--rounds", 1, 0)),
    ],
)
def test_options_that_nothing_can_be_timed_at_end_with_one_sentence(
    words: list[str], named: tuple[object, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark-peers", "--device", "cpu", *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert_names(lines[0], *named)


def test_the_command_writes_figures_that_the_page_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.json"
    words = ["--candidates", "ecenet", "smp-dpt", "--size", "64", "64", "--classes", "3", "--batch", "1", "2"]
    fast = ["--rounds", "1", "--no-memory", "--device", "cpu", "--precision", "fp32"]
    assert main(["benchmark-peers", *words, *fast, "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert figures["size"] == [64, 64]
    assert list(figures["rows"][1]["batches"]) == ["1", "2"]
    assert torch.__version__.startswith(figures["versions"]["torch"])

    page = tmp_path / "README.md"
    filled, empty = "<!-- figures tiny: --rounds 1 -->", "<!-- figures none: --rounds 2 -->"
    page.write_text(f"before\n{filled}\nold\n<!-- end -->\n{empty}\n<!-- end -->\n")
    for _ in range(2):  # made anew from its own result, too
        assert main(["benchmark-page", str(page)]) == 0
        text = page.read_text()
        assert text.startswith(f"before\n{filled}\n{figures_text(figures)}\n<!-- end -->\n")
        assert "old" not in text
        assert text.count("Not run: `python -m ecenet benchmark-peers") == 1
    assert figures_text(figures) in capsys.readouterr().out


def test_the_table_tells_time_throughput_ratio_and_memory() -> None:
    batches = {
        "1": {"milliseconds": 20.04, "images_per_second": 49.9, "ratio": [1.5, 1.681, 2.0], "peak_megabytes": 1234.4},
        "8": {"failed": "not enough memory"},
    }
    numbers = {"milliseconds": 12.0, "images_per_second": 666.7, "ratio": None, "peak_megabytes": None}
    figures = {
        **{"command": "C", "date": "D", "machine": "M", "device": "cpu", "threads": 2, "versions": {"torch": "9"}},
        **{"size": [32, 64], "classes": 5, "precision": "bf16", "rounds": 20},
        "not_run": {"x": "no", "y": "no", "z": "never"},
        "rows": [
            {
                **{"name": "b", "backbone": "b", "parameters": 2_000_000, "gigaflops": 1.26, "scores_stride": None},
                "batches": {"1": numbers, "8": numbers},
            },
            {
                **{"name": "n", "backbone": "b", "parameters": 3_450_000, "gigaflops": 2.0, "scores_stride": 4},
                "batches": batches,
            },
        ],
    }
    lines = figures_text(figures).splitlines()
    assert lines[0] == "`C`, D: images of 32×64, 5 classes, bf16, 20 rounds; M, 2 threads; torch 9."
    assert "ms, batch 1 | × backbone | peak MB | images/s, batch 8 |" in lines[2]
    assert lines[4] == "| bare b |  | 2.00 M | 1.3 |  | 12.0 |  | not measured | 666.7 |  | not measured |"
    middle = "| n | b | 3.45 M | 2.0 | 1/4 | 20.0 | 1.68 (1.50 … 2.00) | 1,234 |"
    assert lines[5] == f"{middle} failed: not enough memory |  |  |"
    assert lines[-2:] == ["- x, y: no.", "- z: never."]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    for text in ("{}", "[1]", "no JSON"):
        path.write_text(text)
        with refused("wrong-file", path, "benchmark-peers --json"):
            read_figures(path)


def test_the_page_is_what_its_files_make_of_it_and_its_commands_can_be_run() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert filled_page(text, PAGE.parent) == text
    blocks = list(BLOCK.finditer(text))
    assert {json.loads(path.read_text())["command"] for path in PAGE.parent.glob("*.json")} <= {
        f"python -m ecenet benchmark-peers {block['options']} --json benchmarks/{block['name']}.json"
        for block in blocks
    }
    for block in blocks:
        options = tyro.cli(BenchmarkPeers, args=shlex.split(block["options"])).options
        assert options.device == block["name"].rpartition("-")[2]
        conditions(replace(options, device=None))


def test_defaults_are_those_of_the_backbone() -> None:
    at = conditions(PeerOptions(backbone="vit-large", device="cpu"))
    assert (at.size, at.classes, at.setting.model.out_indices) == ((640, 640), 150, (7, 15, 23))
    assert at.candidates == ALL
