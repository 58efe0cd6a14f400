"""The weights of our models by layer, and how a checkpoint's arrays are fitted to them.

Shapes that differ are refused, or left alone where only the number of classes differs. What our
layers do not have is folded into the statistics of a normalisation, exactly.
"""

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from keras_ctxseg.convert.report import ConversionError

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclasses.dataclass
class Brick:
    """A conv-norm-act, or a single layer.

    Attributes:
        path: As `Row.ours` matches it.
        layer: `{weight: variable}` of the convolution or matrix.
        norm: `{weight: variable}` of the normalisation.
        epsilon: Of the normalisation.
    """

    path: str
    layer: dict[str, keras.Variable] = dataclasses.field(default_factory=dict)
    norm: dict[str, keras.Variable] = dataclasses.field(default_factory=dict)
    epsilon: float = 0.0

    @property
    def depthwise(self) -> bool:
        return self.path.endswith("depthwise")

    @property
    def in_backbone(self) -> bool:
        return self.path.startswith("backbone_")

    @property
    def classifies(self) -> bool:
        """Whether its output counts classes."""
        return self.path.endswith(("_classifier", "presence_logits"))


def bricks_of(model: keras.Model) -> dict[str, Brick]:
    """Returns `{path: Brick}` of everything in a model that has weights, in its order."""
    epsilons = {
        layer.moving_variance.path: layer.epsilon
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    bricks: dict[str, Brick] = {}
    for variable in model.weights:
        path, name = variable.path.rsplit("/", 1)
        is_norm = name in _NORM
        path = path.removesuffix("/bn" if is_norm else "/conv")
        brick = bricks.setdefault(path, Brick(path))
        (brick.norm if is_norm else brick.layer)[name] = variable
        brick.epsilon = epsilons.get(variable.path, brick.epsilon)
    return bricks


def class_count_only(brick: Brick, values: Mapping[str, np.ndarray]) -> str:
    """Why a classifier is not loaded: another number of classes and nothing else; else `""`."""
    if not brick.classifies:
        return ""
    ours = {key: tuple(variable.shape) for key, variable in brick.layer.items()}
    theirs = {key: values[key].shape for key in ours}
    if ours == theirs or any(
        len(ours[key]) != len(theirs[key]) or ours[key][:-1] != theirs[key][:-1] for key in ours
    ):
        return ""
    return f"the checkpoint has {theirs['kernel'][-1]} classes, the model {ours['kernel'][-1]}"


def shape_error(origin: str, variable: keras.Variable, name: str, shape) -> ConversionError:
    return ConversionError(
        f"{origin} does not fit: {variable.path} is {tuple(variable.shape)}, "
        f"{name or 'its counterpart'} is {tuple(shape)} (in Keras' layout)"
    )


def fold(values: dict[str, np.ndarray], brick: Brick, epsilon: float) -> None:
    """Folds a convolution's bias and another epsilon into the normalisation behind it, in place.

    A bias b before a normalisation moves its mean: (x + b) − μ = x − (μ − b). Another epsilon is
    made up for in the variance, σ² + ε_theirs = (σ² + ε_theirs − ε_ours) + ε_ours, and, for the
    channels whose variance would turn negative, in γ. At inference both are exact; in training,
    statistics are the batch's, and γ of all other channels is what it was.

    Args:
        values: `{our weight: array}` of one brick; `bias` is taken out if it has no place there.
        brick: Ours.
        epsilon: Theirs.
    """
    if not brick.norm:
        return
    if "bias" in values and "bias" not in brick.layer:
        values["moving_mean"] = values["moving_mean"] - values.pop("bias")
    if epsilon == brick.epsilon:
        return
    variance = values["moving_variance"].astype("float64")
    total = variance + epsilon
    ours = np.maximum(total - brick.epsilon, 0.0)
    gamma = values["gamma"] * np.sqrt((ours + brick.epsilon) / total)
    values["moving_variance"] = ours.astype("float32")
    values["gamma"] = gamma.astype("float32")
