"""Assignment of photos to splits, and their file names."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from ecenet.common.errors import UserError
from ecenet.data.prepare.samples import Sample


def unique_names(samples: Sequence[Sample]) -> list[str]:
    """Return a unique file name without suffix for each photo, prefixed with its folders if names repeat."""
    stems = Counter((sample.split, sample.image.stem.lower()) for sample in samples)
    names = []
    for sample in samples:
        name = sample.image.stem
        if stems[sample.split, name.lower()] > 1 and sample.folder:
            name = f"{re.sub(r'[^A-Za-z0-9]+', '-', sample.folder).strip('-')}_{name}"
        names.append(name)
    seen: Counter[tuple[str | None, str]] = Counter()
    for number, (sample, name) in enumerate(zip(samples, names, strict=True)):
        seen[sample.split, name.lower()] += 1
        again = seen[sample.split, name.lower()]
        if again > 1:
            names[number] = f"{name}-{again}"
    return names


def divided(
    samples: Sequence[Sample], names: Sequence[str], *, val_share: float, group: str | None, seed: int
) -> list[str]:
    """Return the split of each photo: that of the source, with validation photos drawn from the training photos if it
    has none.

    Args:
        group: regular expression for the start of names; photos with the same match stay together.
    Raises:
        UserError: there is only one photo or group.
    """
    splits = [sample.split or "train" for sample in samples]
    if "train" not in splits:
        splits = ["train"] * len(samples)  # a part of a data set, which is split again
    if "val" in splits:
        return splits
    members: dict[str, list[int]] = defaultdict(list)
    for number, (split, name) in enumerate(zip(splits, names, strict=True)):
        if split == "train":
            start = re.match(group, name) if group else None
            members[start[0] if start else name].append(number)
    if len(members) < 2:
        raise UserError(
            "not-enough-data",
            f"Expected at least two photos{' or groups' if group else ''} for training and validation, got "
            f"{len(members)}; label more photos{' or choose another --group' if group else ''}.",
        )
    wanted = max(1, round(val_share * sum(len(numbers) for numbers in members.values())))
    order = np.random.default_rng(seed).permutation(sorted(members))
    chosen = 0
    for key in order.tolist()[:-1]:
        if chosen >= wanted:
            break
        for number in members[key]:
            splits[number] = "val"
        chosen += len(members[key])
    return splits
