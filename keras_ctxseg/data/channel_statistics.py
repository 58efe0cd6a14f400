"""Mean and deviation of each channel of a data set's images."""

from collections.abc import Iterable

import numpy as np


def measure_normalization(images: Iterable[np.ndarray]) -> dict[str, list[float]]:
    """Measures mean and deviation of each channel over all pixels, in one pass.

    Args:
        images: `(height, width, channels)` each, of any size, on the scale that the model gets.

    Returns:
        `{"mean": [...], "std": [...]}`, as `normalization` of `build` and of recipes takes it.

    Raises:
        ValueError: If there are no images, they differ in channels, or a channel is constant.

    Examples:
        >>> examples = ctx.data.evaluation_examples(dataset, "train").as_numpy_iterator()
        >>> normalization = measure_normalization(example["image"] for example in examples)
        >>> model = build("ksac_resnet18", 3, (None, None, 4), normalization=normalization)
    """
    count, mean, squares = 0, np.zeros(0), np.zeros(0)
    for image in images:
        pixels = np.asarray(image, "float64").reshape(-1, np.shape(image)[-1])
        if count == 0:
            mean = squares = np.zeros(pixels.shape[1])
        elif pixels.shape[1] != mean.size:
            raise ValueError(
                f"`images` must all have {mean.size} channels. Received: {pixels.shape[1]}"
            )
        # Chan's update: the squares of what is left of the mean, without cancellation.
        shift = pixels.mean(axis=0) - mean
        total = count + len(pixels)
        squares = squares + ((pixels - pixels.mean(axis=0)) ** 2).sum(axis=0)
        squares = squares + shift**2 * count * len(pixels) / total
        mean, count = mean + shift * len(pixels) / total, total
    if count == 0:
        raise ValueError("`images` must hold at least one image. Received: none")
    std = np.sqrt(squares / count)
    if not std.all():
        raise ValueError(f"`images` have a constant channel, number {int(np.argmin(std))}")
    return {"mean": mean.tolist(), "std": std.tolist()}
