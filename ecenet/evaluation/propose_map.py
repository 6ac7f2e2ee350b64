"""Propose a class map by matching class names: spelling variants and a few common synonyms."""

import re
from collections.abc import Sequence
from typing import NamedTuple

SYNONYMS = (
    ("aeroplane", "airplane", "plane"),
    ("bicycle", "bike"),
    ("building", "edifice"),
    ("cabinet", "cupboard"),
    ("car", "automobile"),
    ("curtain", "drape"),
    ("earth", "ground", "dirt"),
    ("floor", "flooring"),
    ("grass", "lawn"),
    ("motorbike", "motorcycle"),
    ("painting", "picture"),
    ("person", "people", "pedestrian", "human", "body"),
    ("potted plant", "pot plant", "houseplant"),
    ("road", "street"),
    ("rug", "carpet"),
    ("sidewalk", "pavement"),
    ("sign", "signboard", "traffic sign"),
    ("sofa", "couch"),
    ("table", "dining table"),
    ("tree", "vegetation"),
    ("tv monitor", "tv", "television", "television receiver"),
    ("window", "windowpane"),
)
"""Synonyms used by data sets; the first match in a line is taken."""
REST_NAMES = ("background", "other", "others", "unlabeled")
"""Names of catch-all classes."""


class Proposal(NamedTuple):
    """A draft of a class map, to be checked and corrected by hand."""

    content: dict[str, object]
    """`classes` and `rest`, as in the file that `read_class_map` reads."""
    unmatched_weights: list[str]
    """Classes of the weights without a match; they map to `rest`, or always count as wrong if there is no `rest`."""
    unmatched_data: list[str]
    """Classes of the data, except `rest`, that no class of the weights maps to."""


def propose_map(weights_names: Sequence[str], data_names: Sequence[str]) -> Proposal:
    """Match names that differ only in case, spaces, underscores, hyphens or plural; then synonyms.

    `rest` is the data's catch-all class, such as background, unless the weights have that class too.
    """
    classes = {}
    for name in weights_names:
        found = _match(name, data_names)
        if found is not None:
            classes[name] = found
    taken = set(classes.values())
    rest = next((name for name in data_names if _compact(name) in REST_NAMES and name not in taken), None)
    return Proposal(
        content={"classes": classes, "rest": rest},
        unmatched_weights=[name for name in weights_names if name not in classes],
        unmatched_data=[name for name in data_names if name not in taken and name != rest],
    )


def _match(name: str, among: Sequence[str]) -> str | None:
    """The first name with the same meaning, or None; spelling variants before synonyms."""
    lines = [line for line in SYNONYMS if any(_same(name, word) for word in line)]
    for candidate in [name, *(word for line in lines for word in line)]:
        for other in among:
            if _same(candidate, other):
                return other
    return None


def _same(first: str, second: str) -> bool:
    """Whether two names differ only in spelling or number."""
    a, b = _compact(first), _compact(second)
    return a in _forms(b) or b in _forms(a)


def _compact(name: str) -> str:
    """The name in lower case, letters and digits only."""
    return re.sub(r"[\s_\-]+", "", name.casefold())


def _forms(word: str) -> set[str]:
    """The word and its possible plurals."""
    return {word, f"{word}s", f"{word}es", *({f"{word[:-1]}ies"} if word.endswith("y") else ())}
