"""What several networks make of the images on which they disagree most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_ctxseg.evaluation.size_batches import example_name

Label = Callable[[np.ndarray, tuple[int, int], str], np.ndarray]


@dataclass(eq=False)
class DisputedImage:
    """One image with its label map and everybody's prediction.

    Attributes:
        name: the image's name.
        image: (image_height, image_width, 3) uint8 RGB, as the first network saw it.
        label: (height, width) int32 class ids.
        predictions: (height, width) int32 class ids, by the name of the group.
    """

    name: str
    image: np.ndarray
    label: np.ndarray
    predictions: dict[str, np.ndarray] = field(default_factory=dict)


def disputed_images(
    names: Sequence[str],
    networks: Mapping[str, tuple[Label, Iterable[Mapping[str, Any]]]],
) -> list[DisputedImage]:
    """Predicts some images again, by each network.

    Args:
        names: of the images.
        networks: by the group's name: a function from image, size and name to class ids, such as
            `Predictor.label`, and the examples to look for the images in.

    Returns:
        The images that all networks' examples hold, in the order of `names`.
    """
    found: dict[str, DisputedImage] = {}
    for group, (label_image, examples) in networks.items():
        missing = set(names)
        for raw in examples:
            name = example_name(raw)
            if name in missing:
                missing.remove(name)
                image = np.asarray(raw["image"], np.float32)
                label = np.asarray(raw["label"], np.int32)
                if name not in found:
                    shown = np.clip(np.round(image), 0, 255).astype(np.uint8)
                    found[name] = DisputedImage(name, shown, label)
                found[name].predictions[group] = label_image(image, label.shape, name)
            if not missing:
                break
    seen = [found[name] for name in names if name in found]
    return [one for one in seen if len(one.predictions) == len(networks)]
