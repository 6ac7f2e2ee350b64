"""Tables of ablation results: mIoU and embedding quality."""

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
"""Measures of embeddings to show: names in `Embeddings`, and titles."""
STAGES = ("ece", "stage1")
"""Stages of the first and the last embeddings of a head."""
NO_FIGURE = "–"


def ablation_table(results: Results) -> str:
    """Markdown table of mIoU of the coarse and the final mask, and the difference to the complete network (to plain
    SegViT for the SegViT rows) over the common seeds.

    ± is the standard deviation over seeds, if there are several.
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
    """Markdown table of each measure for the embeddings of ECE and of stage 1, mean over seeds.

    The last rows are the largest standard deviation over seeds, if there are several, and the baseline for area and
    position from the class alone, for the complete network.
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
    """A measure of a variant's embeddings at one stage, by seed; seeds without a value are omitted."""
    figures = {seed: stages.get(stage, {}).get(measure) for seed, stages in embeddings[name].items()}
    return {seed: figure for seed, figure in figures.items() if figure is not None}


def _pair(embeddings: Embeddings, name: str, measure: str) -> str:
    """A cell such as `0.98 / 0.91`."""
    values = [list(measured(embeddings, name, measure, stage).values()) for stage in STAGES]
    return " / ".join(f"{mean(found):.2f}" if found else NO_FIGURE for found in values)


def _widest(embeddings: Embeddings, measure: str) -> str:
    """Largest standard deviation over all rows and both stages, such as `0.03`."""
    every = [list(measured(embeddings, name, measure, stage).values()) for name in embeddings for stage in STAGES]
    spreads = [stdev(found) for found in every if len(found) > 1]
    return f"{max(spreads):.2f}" if spreads else NO_FIGURE
