"""What ablations found, as tables: mIoU, and what embeddings know."""

from collections.abc import Mapping
from statistics import mean, stdev

from ecenet.studies.ablation_variants import VARIANTS
from ecenet.studies.ablations import Embeddings, Results
from ecenet.studies.results import spread

MEASURES: Mapping[str, str] = {
    "purity": "neighbour purity",
    "silhouette": "silhouette",
    "linear": "class, linear",
    "area": "area, R²",
    "position": "position, R²",
}
"""What is shown of embeddings: names in `Embeddings`, and titles."""
STAGES = ("ece", "stage1")
"""The first and the last embeddings that a head makes."""
NO_FIGURE = "–"


def ablation_table(results: Results) -> str:
    """Markdown: mIoU of the coarse and the final mask, and the difference to the whole (of SegViT's rows to plain
    SegViT) over the seeds that both have.

    ± is the standard deviation over seeds; a single seed has none.
    """
    lines = ["| | coarse mask | final mask | change of the final | seeds |", "|---|---|---|---|---|"]
    for name, by_seed in results.items():
        against = VARIANTS[name].against
        base = results.get(against, {}) if name != against else {}
        coarse, final = (
            [stages[stage] for stages in by_seed.values() if stage in stages] for stage in ("ece", "final")
        )
        common = [by_seed[seed]["final"] - base[seed]["final"] for seed in by_seed if seed in base]
        cells = [VARIANTS[name].summary, spread(coarse), spread(final), spread(common, sign="+"), str(len(by_seed))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def embeddings_table(embeddings: Embeddings) -> str:
    """Markdown: each measure of the embeddings that ECE made and of those that leave stage 1, mean over seeds.

    The last rows tell the largest standard deviation over seeds, where there are several, and what the class alone
    tells of a mask's area and position in the whole, without any embedding.
    """
    titles = [f"{title}: ece / stage 1" for title in MEASURES.values()]
    lines = [f"| | {' | '.join(titles)} | seeds |", "|---" * (len(titles) + 2) + "|"]
    for name, by_seed in embeddings.items():
        cells = [_pair(embeddings, name, measure) for measure in MEASURES]
        lines.append(f"| {' | '.join([VARIANTS[name].summary, *cells, str(len(by_seed))])} |")
    widest = [_widest(embeddings, measure) for measure in MEASURES]
    if any(cell != NO_FIGURE for cell in widest):
        lines.append(f"| largest ± over seeds | {' | '.join(widest)} | |")
    if "whole" in embeddings:
        known = ["", "", "", *(_pair(embeddings, "whole", f"class_{measure}") for measure in ("area", "position"))]
        lines.append(f"| *the class alone, of the first row's masks* | {' | '.join(known)} | |")
    return "\n".join(lines)


def measured(embeddings: Embeddings, name: str, measure: str, stage: str) -> dict[str, float]:
    """A measure of one row's embeddings at one stage, by seed; nothing of seeds that have no figure."""
    figures = {seed: stages.get(stage, {}).get(measure) for seed, stages in embeddings[name].items()}
    return {seed: figure for seed, figure in figures.items() if figure is not None}


def _pair(embeddings: Embeddings, name: str, measure: str) -> str:
    """`0.98 / 0.91`."""
    values = [list(measured(embeddings, name, measure, stage).values()) for stage in STAGES]
    return " / ".join(f"{mean(found):.2f}" if found else NO_FIGURE for found in values)


def _widest(embeddings: Embeddings, measure: str) -> str:
    """`0.03`, over all rows and both stages."""
    every = [list(measured(embeddings, name, measure, stage).values()) for name in embeddings for stage in STAGES]
    spreads = [stdev(found) for found in every if len(found) > 1]
    return f"{max(spreads):.2f}" if spreads else NO_FIGURE
