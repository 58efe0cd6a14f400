"""Batches of examples that have the same size, from a stream of mixed sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Example:
    """One image to score.

    Attributes:
        index: its place in the stream.
        name: its name, for scores and errors.
        image: (image_height, image_width, 3) float32, RGB in 0 ... 255.
        label: (height, width) integer class ids, at the size that scores count at.
        panoptic: likewise with instances on top, where they are scored.
    """

    index: int
    name: str
    image: np.ndarray
    label: np.ndarray
    panoptic: np.ndarray | None = None


def batches_of_equal_size(
    examples: Iterable[Example], batch_size: int, most_waiting: int
) -> Iterator[list[Example]]:
    """Groups examples whose images and label maps have the same sizes.

    Args:
        examples: a stream.
        batch_size: examples in a full batch.
        most_waiting: at most so many examples wait for others of their size; beyond that the size
            that has waited longest goes out as a smaller batch, so that memory stays bounded.

    Yields:
        Lists of 1 ... batch_size examples; each example once.
    """
    waiting: dict[tuple, list[Example]] = {}
    count = 0
    for example in examples:
        size = (example.image.shape, example.label.shape)
        group = waiting.setdefault(size, [])
        group.append(example)
        count += 1
        if len(group) == batch_size:
            count -= len(group)
            yield waiting.pop(size)
        elif count > most_waiting:
            oldest = next(iter(waiting))
            count -= len(waiting[oldest])
            yield waiting.pop(oldest)
    yield from waiting.values()


def example_name(raw: Mapping[str, Any]) -> str:
    """The `name` of an example as text, whether it is a string, bytes or a scalar tensor."""
    value = raw["name"]
    value = value.numpy() if hasattr(value, "numpy") else value
    return value.decode() if isinstance(value, bytes) else str(value)
