"""The weights of our models, by the layer that a table speaks of."""

import dataclasses

import keras

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
