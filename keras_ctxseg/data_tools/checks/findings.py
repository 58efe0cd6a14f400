"""What the check of a folder can find, how grave it is, and the counts over a split behind it."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.checks.example import ExampleFacts

ERROR, WARNING = "error", "warning"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of finding: its severity, and its title in a table."""

    severity: str
    title: str


# In the order of a report: what stops a training first.
KINDS = {
    "layout": Kind(ERROR, "no such layout"),
    "class_file": Kind(ERROR, "class file"),
    "missing_mask": Kind(ERROR, "image without a mask"),
    "missing_image": Kind(ERROR, "mask without an image"),
    "same_name": Kind(ERROR, "two files of one name"),
    "unreadable": Kind(ERROR, "unreadable file"),
    "truncated": Kind(ERROR, "incomplete file"),
    "image_values": Kind(ERROR, "values or bands that cannot be read so"),
    "too_small": Kind(ERROR, "image too small"),
    "too_large": Kind(ERROR, "image too large"),
    "size_mismatch": Kind(ERROR, "mask of another size"),
    "mask_format": Kind(ERROR, "mask in another format"),
    "unknown_ids": Kind(ERROR, "undeclared ids in a mask"),
    "one_class": Kind(ERROR, "nothing to tell apart"),
    "leakage": Kind(ERROR, "one image in two splits"),
    "near_leakage": Kind(WARNING, "nearly one image in two splits"),
    "duplicate": Kind(WARNING, "the same image twice"),
    "near_duplicate": Kind(WARNING, "nearly the same image twice"),
    "lossy_mask": Kind(WARNING, "mask with lossy coding"),
    "exif_turned": Kind(WARNING, "image turned by EXIF"),
    "narrow_range": Kind(WARNING, "values that fill little of 16 bits"),
    "alpha_dropped": Kind(WARNING, "transparency that is not read"),
    "all_ignored": Kind(WARNING, "mask without a labelled pixel"),
    "constant_mask": Kind(WARNING, "mask of a single class"),
    "mostly_ignored": Kind(WARNING, "mostly ignored"),
    "absent_class": Kind(WARNING, "class that does not occur"),
    "no_validation": Kind(WARNING, "one split only"),
    "split_names": Kind(WARNING, "splits of other names"),
    "skipped_file": Kind(WARNING, "file that nobody reads"),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        code: a key of `KINDS`.
        path: the file or folder.
        message: what was expected and what was found.
    """

    code: str
    path: Path
    message: str

    @classmethod
    def of(cls, error: FileError) -> "Finding":
        """What an error says."""
        return cls(error.code, error.path, error.text)

    @property
    def severity(self) -> str:
        return KINDS[self.code].severity

    @property
    def title(self) -> str:
        return KINDS[self.code].title


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
        channels: of the images.
        mean, std: of each channel of the images, in 0 ... 255.
    """

    pairs: int
    checked: int
    sizes: dict[tuple[int, int], int]
    pixels: np.ndarray
    images: np.ndarray
    labelled_where: np.ndarray
    ignored: int
    raw: dict[int, int]
    channels: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

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
        channels = max((facts.channels for facts in examples), default=0)
        moments = sum(
            (facts.moments for facts in examples if facts.channels == channels > 0),
            np.zeros((3, channels)),
        )
        mean = moments[1] / np.maximum(moments[0], 1)
        std = np.sqrt(np.maximum(moments[2] / np.maximum(moments[0], 1) - mean**2, 0))
        return cls(
            channels=channels,
            mean=tuple(round(float(value), 3) for value in mean),
            std=tuple(round(float(value), 3) for value in std),
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
