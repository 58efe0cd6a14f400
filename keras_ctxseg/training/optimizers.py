"""SGD and AdamW with learning-rate multipliers by layer and weight decay that spares 1-D variables.

Both differ from Keras' own in two ways. A variable's learning rate is multiplied by the factor of
the longest matching prefix of its path (`{"": 10.0, "backbone": 1.0}` trains the head ten times
faster). And decay leaves vectors alone: batch-norm scales and offsets, and biases.
"""

from collections.abc import Mapping, Sequence

import keras
from keras import ops


def learning_rate_multiplier(path: str, multipliers: Mapping[str, float]) -> float:
    """The factor of the longest prefix in `multipliers` that `path` starts with, else 1."""
    matches = [prefix for prefix in multipliers if path.startswith(prefix)]
    return float(multipliers[max(matches, key=len)]) if matches else 1.0


def decays(variable) -> bool:
    """Whether weight decay applies: to kernels and matrices, not to scales, offsets and biases."""
    return len(variable.shape) > 1


def _multiplier_per_variable(variables: Sequence, multipliers: Mapping[str, float]) -> tuple:
    return tuple(learning_rate_multiplier(variable.path, multipliers) for variable in variables)


def _checked_decay(weight_decay: float) -> float:
    if weight_decay < 0:
        raise ValueError(f"`weight_decay` must be at least 0. Received: {weight_decay}")
    return float(weight_decay)


def _checked_multipliers(multipliers: Mapping[str, float] | None) -> dict[str, float]:
    multipliers = dict(multipliers or {})
    for prefix, factor in multipliers.items():
        if factor < 0:
            raise ValueError(
                f"`lr_multipliers` must be at least 0. Received: {factor} for prefix {prefix!r}"
            )
    return multipliers


class GlobalGradients:
    """Mixed into an optimizer: gradients are added up over all replicas first.

    Keras clips the gradients of each replica and adds them up afterwards, so that a step depends
    on the number of replicas. Here clipping, like all that follows, sees the gradient of the
    global batch. Without `tf.distribute` nothing changes.
    """

    steps_on_global_gradients = True

    def _backend_apply_gradients(self, grads, trainable_variables):
        super()._backend_apply_gradients(self._added_up(grads), trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars  # Keras adds them up here, which is too late.

    def _added_up(self, gradients: Sequence) -> list:
        if keras.backend.backend() != "tensorflow" or not self.steps_on_global_gradients:
            return list(gradients)
        from keras_ctxseg.distribution.collectives import all_reduce_sum

        sums = iter(all_reduce_sum([gradient for gradient in gradients if gradient is not None]))
        return [None if gradient is None else next(sums) for gradient in gradients]


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class LossScaleOptimizer(GlobalGradients, keras.optimizers.LossScaleOptimizer):
    """`keras.optimizers.LossScaleOptimizer`, for float16, that all replicas step or skip together.

    Keras asks one replica whether its own gradients are finite. Here all ask it of the gradients
    added up.

    Args:
        inner_optimizer: `SGD` or `AdamW` of this module, on several replicas.
        initial_scale, dynamic_growth_steps, name: as of Keras'.
    """

    def __init__(self, inner_optimizer, *args, **kwargs):
        super().__init__(inner_optimizer, *args, **kwargs)
        if isinstance(inner_optimizer, GlobalGradients):
            inner_optimizer.steps_on_global_gradients = False  # What it gets is added up.

    def apply(self, grads, trainable_variables=None):
        super().apply(self._added_up(grads), trainable_variables)


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class SGD(GlobalGradients, keras.optimizers.SGD):
    """Momentum SGD whose weight decay is the L2 penalty of the papers' recipes.

    With gradient `g`, weight `w`, rate `r = learning_rate * multiplier`:
    `v = momentum * v - r * (g + weight_decay * w)`, `w = w + v`. The decay so passes through the
    momentum (coupled), where Keras' own `weight_decay` shrinks the weights beside it.

    Args:
        learning_rate: float or `LearningRateSchedule`.
        momentum: float in [0, 1].
        weight_decay: coefficient of the coupled decay.
        lr_multipliers: factor of the learning rate by prefix of the variable's path (its layer's
            name first); the longest prefix wins, "" matches everything, no match means 1.
        **kwargs: `keras.optimizers.SGD`'s others (`nesterov`, `global_clipnorm`, `use_ema`, ...).
            Clipping sees the gradient before decay is added, as in PyTorch.
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        lr_multipliers: Mapping[str, float] | None = None,
        name: str = "sgd",
        **kwargs,
    ):
        # The base class gets no decay: it would apply its own, decoupled one.
        super().__init__(learning_rate=learning_rate, momentum=float(momentum), name=name, **kwargs)
        self.l2 = _checked_decay(weight_decay)
        self.lr_multipliers = _checked_multipliers(lr_multipliers)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._multipliers = _multiplier_per_variable(variables, self.lr_multipliers)
        self._decays = tuple(decays(variable) for variable in variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        gradient = ops.cast(gradient, variable.dtype)
        if self.l2 and self._decays[index]:
            gradient = ops.add(gradient, ops.multiply(variable, self.l2))
        super().update_step(gradient, variable, learning_rate * self._multipliers[index])

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(weight_decay=self.l2, lr_multipliers=dict(self.lr_multipliers))
        return config


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class AdamW(GlobalGradients, keras.optimizers.Adam):
    """Adam with decoupled weight decay, `w = w - r * weight_decay * w` before Adam's own step.

    `r = learning_rate * multiplier`, as with PyTorch's parameter groups; Keras' AdamW has no
    multipliers.

    Args:
        learning_rate: float or `LearningRateSchedule`.
        weight_decay: coefficient of the decoupled decay.
        lr_multipliers: factor of the learning rate by prefix of the variable's path, as for `SGD`.
        **kwargs: `keras.optimizers.Adam`'s others (`beta_1`, `global_clipnorm`, `use_ema`, ...).

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2.
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay: float = 0.01,
        lr_multipliers: Mapping[str, float] | None = None,
        name: str = "adamw",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.decoupled_decay = _checked_decay(weight_decay)
        self.lr_multipliers = _checked_multipliers(lr_multipliers)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._multipliers = _multiplier_per_variable(variables, self.lr_multipliers)
        self._decays = tuple(decays(variable) for variable in variables)

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        learning_rate = ops.cast(learning_rate, variable.dtype) * self._multipliers[index]
        if self.decoupled_decay and self._decays[index]:
            shrink = ops.multiply(learning_rate, self.decoupled_decay)
            self.assign_sub(variable, ops.multiply(variable, shrink))
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(weight_decay=self.decoupled_decay, lr_multipliers=dict(self.lr_multipliers))
        return config
