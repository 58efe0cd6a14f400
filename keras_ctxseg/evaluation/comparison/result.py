"""What a comparison found: scores with intervals, differences, disagreement; and as JSON."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.evaluation.comparison.scored_run import ScoredRun

UNDECIDED = "not told apart"


@dataclass(frozen=True)
class Estimate:
    """A figure with the interval that resampling gives it; NaN where there is none.

    Attributes:
        value: of the images as they are.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out zero; of a difference: whether its sign is sure."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, eq=False)
class Group:
    """One run, or several of one recipe.

    Attributes:
        name: for tables.
        runs: its evaluations.
        scores: mean over the runs, by the name of the score.
        spread: standard deviation over the runs (n - 1), by the name; NaN for a single run.
        class_iou: one entry for each class.
        image_iou: (images,) mean over the runs of each image's own mean IoU.
    """

    name: str
    runs: tuple[ScoredRun, ...]
    scores: dict[str, Estimate]
    spread: dict[str, float]
    class_iou: tuple[Estimate, ...]
    image_iou: np.ndarray


@dataclass(frozen=True, eq=False)
class Pair:
    """What a group gains over another one.

    Attributes:
        baseline: name of the group that was given first.
        other: name of the other one.
        scores: other - baseline, by the name of the score.
        class_iou: other - baseline, one entry for each class.
    """

    baseline: str
    other: str
    scores: dict[str, Estimate]
    class_iou: tuple[Estimate, ...]

    @property
    def verdict(self) -> str:
        """In words, by the mean IoU."""
        gain = self.scores["mean_iou"]
        if not gain.decided:
            return UNDECIDED
        better, worse = (self.other, self.baseline) if gain.value > 0 else (
            self.baseline, self.other)  # fmt: skip
        return f"{better} beats {worse}"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Groups and all their pairs, over the same images.

    Attributes:
        groups: in the order given.
        pairs: each two of them; differences are the later minus the earlier one.
        class_names: in the order of the ids.
        images: names, in the order of the examples.
        disagreement: (images,) largest minus smallest `image_iou` over the groups.
        level: of the intervals.
        resamples: behind them.
        seed: of the resamples.
        block: images in a row that were drawn together; 1 where each was drawn for itself.
    """

    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]
    class_names: tuple[str, ...]
    images: tuple[str, ...]
    disagreement: np.ndarray
    level: float
    resamples: int
    seed: int
    block: int = 1

    @property
    def drawing(self) -> str:
        """How many images there are and how they were drawn again, in words."""
        together = "" if self.block == 1 else f", {self.block} neighbours at a time"
        return (
            f"{len(self.images)} images, {self.resamples:,} paired resamples of them{together} "
            f"(seed {self.seed})"
        )

    def most_disputed(self, count: int = 8) -> list[int]:
        """Places of the images with the largest disagreement, the largest first."""
        known = np.flatnonzero(~np.isnan(self.disagreement))
        order = known[np.argsort(-self.disagreement[known], kind="stable")]
        return [int(place) for place in order[:count]]

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain Python values; None stands where a score does not exist."""
        names = self.class_names
        return {
            "level": self.level,
            "resamples": self.resamples,
            "seed": self.seed,
            "block": self.block,
            "images": len(self.images),
            "groups": [
                {
                    "name": group.name,
                    "runs": [str(run.path) for run in group.runs],
                    "protocol": group.runs[0].protocol,
                    "scores": {key: _plain(one) for key, one in group.scores.items()},
                    "spread": {key: _number(value) for key, value in group.spread.items()},
                    "class_iou": dict(zip(names, map(_plain, group.class_iou), strict=True)),
                }
                for group in self.groups
            ],
            "pairs": [
                {
                    "baseline": pair.baseline,
                    "other": pair.other,
                    "verdict": pair.verdict,
                    "scores": {key: _plain(one) for key, one in pair.scores.items()},
                    "class_iou": dict(zip(names, map(_plain, pair.class_iou), strict=True)),
                }
                for pair in self.pairs
            ],
            "disagreement": [
                {
                    "image": self.images[place],
                    "difference": float(self.disagreement[place]),
                    "mean_iou": {
                        group.name: _number(group.image_iou[place]) for group in self.groups
                    },
                }
                for place in self.most_disputed(len(self.images))
            ],
        }

    def to_json(self, path: str | os.PathLike) -> Path:
        """Writes `to_dict` as JSON."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": _number(estimate.value),
        "interval": [_number(estimate.low), _number(estimate.high)],
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
