"""Counts over a split, and what they say about its classes."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_ctxseg.data_tools.checks.example import ExampleFacts


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """What the masks of a split hold.

    Attributes:
        pairs: complete pairs in the folder.
        checked: pairs that were opened.
        sizes: images by `(height, width)`, the most frequent first.
        pixels: int64 `(classes,)`, pixels by class.
        images: int64 `(classes,)`, masks that hold the class.
        labelled_where: int64 `(classes,)`, labelled pixels, of any class, of those masks.
        ignored: pixels that are declared void.
        raw: pixels by raw id, or by packed RGB.
    """

    pairs: int
    checked: int
    sizes: dict[tuple[int, int], int]
    pixels: np.ndarray
    images: np.ndarray
    labelled_where: np.ndarray
    ignored: int
    raw: dict[int, int]

    @classmethod
    def of(cls, examples: Sequence[ExampleFacts], pairs: int, classes: int) -> "SplitFacts":
        """Sum up what single pairs gave."""
        counts = np.zeros((len(examples), classes), np.int64)
        raw: Counter[int] = Counter()
        for row, facts in zip(counts, examples, strict=True):
            row[: len(facts.pixels)] = facts.pixels
            raw.update(facts.raw)
        present = counts > 0
        sizes = Counter(facts.size for facts in examples if facts.size)
        return cls(
            pairs=pairs,
            checked=len(examples),
            sizes=dict(sizes.most_common()),
            pixels=counts.sum(axis=0),
            images=present.sum(axis=0),
            labelled_where=(counts.sum(axis=1, keepdims=True) * present).sum(axis=0),
            ignored=sum(facts.ignored for facts in examples),
            raw=dict(sorted(raw.items())),
        )

    @property
    def complete(self) -> bool:
        """Whether every pair was opened, so that what is absent is absent."""
        return self.checked == self.pairs

    @property
    def ignored_share(self) -> float:
        """Of all pixels with a declared id, those that are void."""
        return self.ignored / max(1, self.ignored + int(self.pixels.sum()))


def class_weights(facts: SplitFacts) -> list[float]:
    """Median frequency weights (Eigen and Fergus, arXiv 1411.4734), square-rooted.

    A class's frequency is its share of the labelled pixels of those images that hold it. Its
    weight is the square root of the median frequency over its own: the plain ratio, which spans
    three orders of magnitude on street scenes, makes rare classes flood the prediction. Classes
    that do not occur get 1.
    """
    present = facts.pixels > 0
    if not present.any():
        return [1.0] * len(facts.pixels)
    frequency = facts.pixels[present] / facts.labelled_where[present]
    weights = np.ones(len(facts.pixels))
    weights[present] = np.sqrt(np.median(frequency) / frequency)
    return [float(f"{weight:.3g}") for weight in weights]
