"""Which example goes into which split."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Splitting:
    """A random split.

    Args:
        val, test: shares of the examples; the rest is for training.
        seed: another seed, another split; the same seed and names, the same split.
        group_by: a regular expression; names in which it finds the same text (that of its first
            group, if it has one) stay together, such as frames of one video.

    Raises:
        ValueError: shares that leave nothing to train on, or no regular expression.
    """

    val: float = 0.2
    test: float = 0.0
    seed: int = 0
    group_by: str | None = None

    def __post_init__(self):
        for name in ("val", "test"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"`{name}`: expected a share of 0 or more, below 1. "
                    f"Received: {getattr(self, name)}"
                )
        if self.val + self.test >= 1:
            raise ValueError(
                f"`val`, `test`: expected shares below 1 in all. Received: {self.val}, {self.test}"
            )
        try:
            re.compile(self.group_by or "")
        except re.error as error:
            raise ValueError(
                f"`group_by`: expected a regular expression. Received: {self.group_by!r} ({error})"
            ) from error

    def assign(self, names: Sequence[str]) -> dict[str, list[str]]:
        """The names of each split, sorted; groups are never parted.

        Each split is filled with whole groups, in random order, as long as it comes closer to its
        share by that; it gets one group at least, if none is small enough the smallest.

        Raises:
            ValueError: fewer groups than splits, or a name without a group.
        """
        groups = defaultdict(list)
        for name in sorted(names):
            groups[self._group(name)].append(name)
        shares = {"val": self.val, "test": self.test}
        shares = {split: share for split, share in shares.items() if share > 0}
        if len(groups) <= len(shares):
            what = "groups" if self.group_by else "examples"
            raise ValueError(
                f"Expected at least {len(shares) + 1} {what} for the splits train, "
                f"{', '.join(shares)}. Found: {len(groups)}"
            )
        order = np.random.default_rng(self.seed).permutation(len(groups))
        waiting = [list(groups.values())[place] for place in order]
        splits: dict[str, list[str]] = {}
        for place, (split, share) in enumerate(shares.items()):
            wanted = share * len(names)
            # One group at least, in random order the first that fits, or else the smallest.
            fitting = (index for index, group in enumerate(waiting) if len(group) <= wanted)
            smallest = min(range(len(waiting)), key=lambda index: len(waiting[index]))
            taken = waiting.pop(next(fitting, smallest))
            still_needed = len(shares) - place  # a group for each later split, and for train
            while len(waiting) > still_needed and abs(
                len(taken) + len(waiting[0]) - wanted
            ) < wanted - len(taken):
                taken = taken + waiting.pop(0)
            splits[split] = sorted(taken)
        train = sorted(name for group in waiting for name in group)
        return {"train": train, **splits}

    def _group(self, name: str) -> str:
        if self.group_by is None:
            return name
        match = re.search(self.group_by, name)
        if match is None:
            raise ValueError(
                f"`group_by`: expected a pattern that every name has. {name!r} does not match "
                f"{self.group_by!r}"
            )
        return match.group(1 if match.re.groups else 0)
