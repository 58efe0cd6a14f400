"""How frameworks name and lay out the weights of a layer."""

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Dialect:
    """A framework's words for what Keras calls `kernel`, `bias`, `gamma`, ...

    Attributes:
        words: Keras' name of a weight to theirs.
        separator: Between a layer's name and its weight's.
        channels_first: Whether kernels are (out, in, height, width) and matrices (out, in).
        depthwise_kernel: The word for a depthwise kernel, where it is another one.
    """

    words: Mapping[str, str]
    separator: str
    channels_first: bool = False
    depthwise_kernel: str = ""

    def name(self, layer: str, weight: str, depthwise: bool = False) -> str:
        """The name in the checkpoint of a layer's weight, given Keras' name of it."""
        word = self.words.get(weight, weight)
        if depthwise and weight == "kernel" and self.depthwise_kernel:
            word = self.depthwise_kernel
        return f"{layer}{self.separator}{word}"

    def to_keras(self, array: np.ndarray, weight: str, depthwise: bool = False) -> np.ndarray:
        """Lays a checkpoint's array out as Keras does.

        Kernels become (height, width, in, out), depthwise ones (height, width, channels, 1), and
        matrices (in, out).
        """
        if self.channels_first and weight == "kernel":
            if array.ndim == 4:
                array = np.transpose(array, (2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
            elif array.ndim == 2:
                array = array.T
        return array


TORCH = Dialect(
    words={
        "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
        "moving_mean": "running_mean", "moving_variance": "running_var",
    },
    separator=".",
    channels_first=True,
)  # fmt: skip
KERAS = Dialect(words={}, separator="/")
# TF1's slim; a normalisation's name ends in BatchNorm.
SLIM = Dialect(
    words={"kernel": "weights", "bias": "biases"},
    separator="/",
    depthwise_kernel="depthwise_weights",
)
