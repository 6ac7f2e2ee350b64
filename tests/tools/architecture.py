"""The figures of both designs in `docs/design.md`, drawn from the configs that models are built from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

import torch

from ecenet.inference.weights import load_model
from ecenet.model.config import ReleaseConfig
from ecenet.model.ecenet import ECENet, stage_width
from ecenet.model.release import ECENetRelease
from tests.support.web.browsing import ROOT

WIDTH, BOX, HEIGHT, ROW = 660, 132, 46, 84
"""Of the figure; of a box; from row to row."""
FEATURES, ATTENTION, MASK, EMBEDDINGS = (12 + column * 168 for column in range(4))
"""Left edges of the columns."""
COLORS = {FEATURES: "#e8edf2", ATTENTION: "#d3ece4", MASK: "#fde3c3", EMBEDDINGS: "#e3dcf6"}
ADE20K_CLASSES = 150


@dataclass
class Drawing:
    """An SVG that grows."""

    title: str
    parts: list[str] = field(default_factory=list)
    bottom: int = 0

    def box(self, x: int, row: int, name: str, detail: str = "") -> None:
        y = top(row)
        self.bottom = max(self.bottom, y + HEIGHT)
        self.parts.append(f'<rect x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="6" fill="{COLORS[x]}"/>')
        self.text(x + BOX // 2, y + (20 if detail else 28), name, bold=True)
        if detail:
            self.text(x + BOX // 2, y + 36, detail)

    def text(self, x: int, y: int, words: str, *, bold: bool = False, anchor: str = "middle") -> None:
        weight = ' class="bold"' if bold else ""
        self.parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}"{weight}>{escape(words)}</text>')

    def arrow(self, *points: tuple[int, int]) -> None:
        path = " L".join(f"{x},{y}" for x, y in points)
        self.parts.append(f'<path d="M{path}" class="arrow" marker-end="url(#head)"/>')

    def across(self, start: int, end: int, row: int) -> None:
        """From a box to one on its right."""
        y = top(row) + HEIGHT // 2
        self.arrow((start + BOX, y), (end - 2, y))

    def over(self, start: int, end: int, row: int) -> None:
        """The same past the boxes between, above them."""
        y = top(row)
        self.arrow((start + BOX - 16, y), (start + BOX - 8, y - 9), (end + 8, y - 9), (end + 16, y - 2))

    def down(self, x: int, row: int, *, shift: int = 0) -> None:
        """To the box below."""
        self.arrow((x + BOX // 2 + shift, top(row) + HEIGHT), (x + BOX // 2 + shift, top(row + 1) - 2))

    def queried(self, row: int) -> None:
        """From the embeddings of the row above to the attention of this one."""
        lane = top(row - 1) + HEIGHT + 12
        x = ATTENTION + BOX - 34
        self.arrow((EMBEDDINGS + 34, top(row - 1) + HEIGHT), (EMBEDDINGS + 34, lane), (x, lane), (x, top(row) - 2))

    def svg(self, notes: Sequence[str]) -> str:
        lines = self.bottom + 26
        for number, note in enumerate(notes):
            self.text(12, lines + 18 * number, note, anchor="start")
        height = lines + 18 * len(notes)
        return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">
<title>{escape(self.title)}</title>
<style>text {{ font: 12px system-ui, sans-serif; fill: #1f2933 }} .bold {{ font-weight: 600 }}
.arrow {{ fill: none; stroke: #52606d; stroke-width: 1.4 }}
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0,0 L8,4 L0,8 z" fill="#52606d"/></marker></defs>
<rect width="{WIDTH}" height="{height}" fill="white"/>
{chr(10).join(self.parts)}
</svg>
"""


def top(row: int) -> int:
    return 50 + row * ROW


def titled(title: str) -> Drawing:
    drawing = Drawing(title)
    drawing.text(WIDTH // 2, 20, title, bold=True)
    return drawing


def ours(model: ECENet, *, name: str) -> str:
    """Our design with the settings of some weights."""
    settings, classes, width = model.settings, model.num_classes, model.settings.embed_dim
    stages = model.backbone if model.pyramid is None else model.pyramid
    levels = len(stages.strides)
    drawing = titled(f"Ours, as in {name}: {settings.backbone}, K = {classes}, D = {width}")

    def width_at(level: int) -> int:
        return stage_width(width, stages.strides[level - 1]) if settings.taper else width

    drawing.box(FEATURES, 0, f"features {levels}", f"stride {stages.strides[-1]}, {width_at(levels)} wide")
    drawing.box(MASK, 0, "coarse mask", f"{classes} logits a cell")
    drawing.box(EMBEDDINGS, 0, "ECE", f"{classes} × {width}")
    drawing.arrow((FEATURES + BOX, top(0) + HEIGHT // 2), (MASK - 2, top(0) + HEIGHT // 2))
    drawing.over(FEATURES, EMBEDDINGS, 0)
    drawing.across(MASK, EMBEDDINGS, 0)
    for row, level in enumerate(range(levels, 0, -1), start=1):
        if level < levels:
            drawing.box(
                FEATURES, row, f"features {level}", f"stride {stages.strides[level - 1]}, {width_at(level)} wide"
            )
            drawing.across(FEATURES, ATTENTION, row)
            drawing.down(ATTENTION, row - 1, shift=-20)
        else:
            lane = top(row) + HEIGHT // 2
            drawing.arrow((FEATURES + BOX // 2, top(0) + HEIGHT), (FEATURES + BOX // 2, lane), (ATTENTION - 2, lane))
        drawing.box(ATTENTION, row, f"attention {level}", "softmax of scores")
        drawing.box(MASK, row, f"mask {level}", "scores + mask" if settings.summed_masks else "scores")
        drawing.box(
            EMBEDDINGS, row, f"embeddings {level}", "gated mix" if settings.updater == "gated" else settings.updater
        )
        drawing.queried(row)
        drawing.across(ATTENTION, MASK, row)
        drawing.over(ATTENTION, EMBEDDINGS, row)
        drawing.across(MASK, EMBEDDINGS, row)
        drawing.down(EMBEDDINGS, row - 1, shift=30)
        if settings.summed_masks:
            drawing.down(MASK, row - 1, shift=20)
    _final(drawing, levels + 1, summed=settings.summed_masks, classified="⟨features, W · embedding⟩ + mask")
    return drawing.svg(
        (
            f"Features: backbone channels {channels(stages.channels)}, shallow to deep, after Feature Reconstruction.",
            "ECE and updates pool features under a mask (lines above the masks). No layer after the coarse mask",
            "is class-indexed. Attention also adds the deeper stage's enhanced features to its queries.",
        )
    )


def release(model: ECENetRelease) -> str:
    """The authors' release."""
    classes, width = model.num_classes, model.settings.embed_dim
    strides = model.backbone.strides
    levels = len(strides)
    drawing = titled(f"The authors' release: {model.settings.backbone}, K = {classes}, D = {width}")
    drawing.box(FEATURES, 0, f"features {levels}", f"stride {strides[-1]}, {width} wide")
    drawing.box(MASK, 0, "coarse mask", f"{classes} logits a cell")
    drawing.box(EMBEDDINGS, 0, "ECE of the mask", f"{classes} × {width}")
    drawing.arrow((FEATURES + BOX, top(0) + HEIGHT // 2), (MASK - 2, top(0) + HEIGHT // 2))
    drawing.across(MASK, EMBEDDINGS, 0)
    for row, level in enumerate(range(levels - 1, 0, -1), start=1):
        drawing.box(FEATURES, row, f"features {level}", f"stride {strides[level - 1]}, {width} wide")
        drawing.box(ATTENTION, row, f"attention {level}", "softmax of max − s")
        drawing.box(MASK, row, f"mask {level}", "scores s")
        drawing.box(EMBEDDINGS, row, f"embeddings {level}", "+ gate · ECE")
        drawing.queried(row)
        drawing.across(FEATURES, ATTENTION, row)
        drawing.across(ATTENTION, MASK, row)
        drawing.across(MASK, EMBEDDINGS, row)
        drawing.down(EMBEDDINGS, row - 1, shift=30)
    _final(drawing, levels, summed=False, classified="classifier + probability · σ(sum of masks)")
    return drawing.svg(
        (
            f"Features: backbone channels {channels(model.backbone.channels)}, shallow to deep, after Feature",
            "Reconstruction and a lateral 1×1. ECE pools mask logits alone, at every stage anew. A class-indexed",
            "layer turns embeddings into the probabilities. Stages do not see the deeper stage's features.",
        )
    )


def _final(drawing: Drawing, row: int, *, summed: bool, classified: str) -> None:
    """What all stages come together in."""
    y, right = top(row), MASK + BOX
    drawing.box(FEATURES, row, "all stages", "at the finest grid")
    lane = y - 14
    drawing.arrow(
        (ATTENTION + 24, y - ROW + HEIGHT), (ATTENTION + 24, lane), (FEATURES + 90, lane), (FEATURES + 90, y - 2)
    )
    drawing.parts.append(
        f'<rect x="{ATTENTION}" y="{y}" width="{right - ATTENTION}" height="{HEIGHT}" rx="6" fill="#f6d5dd"/>'
    )
    drawing.text((ATTENTION + right) // 2, y + 20, "final logits", bold=True)
    drawing.text((ATTENTION + right) // 2, y + 36, classified)
    drawing.across(FEATURES, ATTENTION, row)
    drawing.arrow((MASK + 86, y - ROW + HEIGHT), (MASK + 86, y - 2))
    drawing.text(MASK + 92, y - 10, "the last" if summed else "all", anchor="start")
    corner = y + HEIGHT // 2
    drawing.arrow((EMBEDDINGS + 66, y - ROW + HEIGHT), (EMBEDDINGS + 66, corner), (right + 2, corner))


def channels(widths: Sequence[int]) -> str:
    return ", ".join(map(str, widths))


def figures() -> dict[str, str]:
    """SVG by file name."""
    model = load_model("everyday")
    assert isinstance(model, ECENet)
    names = [f"class {number}" for number in range(ADE20K_CLASSES)]
    with torch.device("meta"):
        published = ECENetRelease(
            ReleaseConfig(),
            class_names=names,
            class_colors=[[0, 0, 0]] * len(names),
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            pretrained=False,
        )
    return {"architecture-ours.svg": ours(model, name="everyday"), "architecture-release.svg": release(published)}


def draw_architectures() -> None:
    """Write both into `assets/`."""
    for name, svg in figures().items():
        path = ROOT / "assets" / name
        path.write_text(svg, encoding="utf-8")
        print(path.relative_to(ROOT))
