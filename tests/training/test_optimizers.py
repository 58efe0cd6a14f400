"""The optimizers against their update rules, written out in NumPy in float64."""

import keras
import numpy as np
import pytest

from keras_ctxseg.training import SGD, AdamW, PolyDecay
from keras_ctxseg.training.optimizers import learning_rate_multiplier

STEPS = 5
MULTIPLIERS = {"": 10.0, "backbone": 1.0, "backbone_frozen": 0.0}


class Weights:
    """A kernel and a bias in three layers, and random gradients for a few steps."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.layers = []
        self.variables, self.multipliers = [], []
        for name, multiplier in (("backbone_a", 1.0), ("backbone_frozen", 0.0), ("head", 10.0)):
            layer = keras.layers.Dense(3, name=name)
            layer.build((None, 4))
            layer.set_weights([rng.normal(size=(4, 3)), rng.normal(size=3)])
            self.layers.append(layer)
            self.variables += layer.trainable_variables
            self.multipliers += [multiplier] * 2
        self.start = [np.array(v.numpy(), np.float64) for v in self.variables]
        self.gradients = [[rng.normal(size=v.shape) for v in self.variables] for _ in range(STEPS)]

    def run(self, optimizer):
        history = []
        for gradients in self.gradients:
            tensors = [keras.ops.convert_to_tensor(g, "float32") for g in gradients]
            optimizer.apply(tensors, self.variables)
            history.append([v.numpy() for v in self.variables])
        return history


def assert_same_history(actual, expected):
    for step, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        for value, oracle in zip(ours, theirs, strict=True):
            # float32 arithmetic of values near 1: a few units in the seventh place per step.
            np.testing.assert_allclose(value, oracle, atol=2e-5, err_msg=f"step {step}")


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_couples_decay_and_spares_vectors(nesterov):
    weights = Weights()
    rate = PolyDecay(0.1, total_steps=STEPS, power=0.9)
    optimizer = SGD(rate, 0.9, weight_decay=0.3, lr_multipliers=MULTIPLIERS, nesterov=nesterov)
    actual = weights.run(optimizer)

    values = [w.copy() for w in weights.start]
    velocity = [np.zeros_like(w) for w in values]
    expected = []
    for step, gradients in enumerate(weights.gradients):
        base = 0.1 * (1 - step / STEPS) ** 0.9
        for i, gradient in enumerate(gradients):
            r = base * weights.multipliers[i]
            g = gradient + (0.3 * values[i] if values[i].ndim > 1 else 0.0)
            velocity[i] = 0.9 * velocity[i] - r * g
            values[i] = values[i] + (0.9 * velocity[i] - r * g if nesterov else velocity[i])
        expected.append([v.copy() for v in values])
    assert_same_history(actual, expected)
    np.testing.assert_array_equal(actual[-1][2], weights.start[2].astype("float32"))


def test_sgd_clips_before_it_decays():
    weights = Weights(1)
    optimizer = SGD(0.1, momentum=0.0, weight_decay=0.5, global_clipnorm=1.0)
    actual = weights.run(optimizer)

    values, expected = [w.copy() for w in weights.start], []
    for gradients in weights.gradients:
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        for i, gradient in enumerate(gradients):
            decay = 0.5 * values[i] if values[i].ndim > 1 else 0.0
            values[i] = values[i] - 0.1 * (gradient / max(norm, 1.0) + decay)
        expected.append([v.copy() for v in values])
    assert_same_history(actual, expected)


def test_adamw_decouples_decay_and_spares_vectors():
    weights = Weights(2)
    optimizer = AdamW(0.01, weight_decay=0.2, lr_multipliers=MULTIPLIERS, epsilon=1e-7)
    actual = weights.run(optimizer)

    values, expected = [w.copy() for w in weights.start], []
    first = [np.zeros_like(w) for w in values]
    second = [np.zeros_like(w) for w in values]
    for step, gradients in enumerate(weights.gradients, start=1):
        for i, g in enumerate(gradients):
            r = 0.01 * weights.multipliers[i]
            if values[i].ndim > 1:
                values[i] = values[i] - r * 0.2 * values[i]
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            scale = r * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            values[i] = values[i] - scale * first[i] / (np.sqrt(second[i]) + 1e-7)
        expected.append([v.copy() for v in values])
    assert_same_history(actual, expected)


def test_averages_are_exponential_from_the_first_step_on():
    weights = Weights(3)
    optimizer = SGD(0.1, use_ema=True, ema_momentum=0.7)
    history = weights.run(optimizer)
    expected = history[0]
    for values in history[1:]:
        expected = [0.7 * mean + 0.3 * value for mean, value in zip(expected, values, strict=True)]
    for average, oracle in zip(optimizer._model_variables_moving_average, expected, strict=True):
        np.testing.assert_allclose(average.numpy(), oracle, atol=1e-5)


@pytest.mark.parametrize("optimizer_class", [SGD, AdamW])
def test_the_config_is_complete(optimizer_class):
    original = optimizer_class(
        PolyDecay(0.2, 10, power=0.8, warmup_steps=2),
        weight_decay=0.25,
        lr_multipliers=MULTIPLIERS,
        global_clipnorm=2.0,
        use_ema=True,
        ema_momentum=0.6,
    )
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(original))
    assert type(copy) is optimizer_class
    assert copy.get_config() == original.get_config()
    assert_same_history(Weights(4).run(copy), Weights(4).run(original))


def test_the_longest_prefix_wins():
    assert learning_rate_multiplier("backbone_frozen/kernel", MULTIPLIERS) == 0.0
    assert learning_rate_multiplier("backbone_stem/kernel", MULTIPLIERS) == 1.0
    assert learning_rate_multiplier("classify/kernel", MULTIPLIERS) == 10.0
    assert learning_rate_multiplier("classify/kernel", {"backbone": 0.1}) == 1.0


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`weight_decay` must be at least 0. Received: -1"):
        SGD(0.1, weight_decay=-1)
    with pytest.raises(ValueError, match="Received: -2 for prefix 'head'"):
        AdamW(0.1, lr_multipliers={"head": -2})
