import keras
import numpy as np
import pytest

from keras_ctxseg.training import PolyDecay


def oracle(step, base, total, power, warmup, end):
    if step < warmup:
        return base * (step + 1) / warmup
    progress = min((step - warmup) / (total - warmup), 1.0)
    return end + (base - end) * (1 - progress) ** power


@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize("end", [0.0, 0.02])
def test_follows_the_formula(warmup, end):
    schedule = PolyDecay(0.3, 40, power=0.9, warmup_steps=warmup, end_learning_rate=end)
    actual = [float(schedule(step)) for step in range(45)]
    expected = [oracle(step, 0.3, 40, 0.9, warmup, end) for step in range(45)]
    np.testing.assert_allclose(actual, expected, atol=1e-7)


def test_the_config_is_complete():
    schedule = PolyDecay(0.3, 40, power=0.7, warmup_steps=3, end_learning_rate=0.01)
    copy = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert copy.get_config() == schedule.get_config()
    assert float(copy(17)) == float(schedule(17))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0, "total_steps": 5}, "`learning_rate` must be above 0"),
        ({"learning_rate": 0.1, "total_steps": 0}, "`total_steps` must be at least 1"),
        ({"learning_rate": 0.1, "total_steps": 5, "power": 0}, "`power` must be above 0"),
        ({"learning_rate": 0.1, "total_steps": 5, "warmup_steps": 5}, r"must lie in 0\.\.\.4"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        PolyDecay(**arguments)
