import time

import keras
import numpy as np
import pytest

from keras_ctxseg.benchmark import (
    Latency,
    benchmark_models,
    compare_atrous_layers,
    inference_call,
    measure_latencies,
    measure_latency,
    measure_peak_memory,
)


def test_latencies_take_turns_after_the_warmup():
    calls = []
    functions = {name: (lambda name=name: calls.append(name)) for name in "ab"}
    result = measure_latencies(functions, repeats=3, warmup=2)
    assert "".join(calls) == "ab" * 5
    assert [len(latency.seconds) for latency in result.values()] == [3, 3]


def test_latency_is_the_time_of_the_call():
    latency = measure_latency(lambda: time.sleep(0.02), repeats=3, warmup=0)
    assert 0.02 <= latency.minimum <= latency.median
    with pytest.raises(ValueError, match="repeats: expected at least 1"):
        measure_latency(lambda: None, repeats=0)


def test_median_and_minimum():
    latency = Latency((0.004, 0.001, 0.003))
    assert (latency.median, latency.minimum) == (0.003, 0.001)
    assert str(latency) == "median 3.0 ms, min 1.0 ms (3 calls)"


@pytest.fixture(scope="module")
def wide():
    """Holds a map of 64 channels at the input's size, and nothing else of weight."""
    images = keras.Input((None, None, 3))
    features = keras.layers.Conv2D(64, 1)(images)
    logits = keras.layers.Conv2D(2, 1)(features)
    return keras.Model(images, {"logits": logits})


@pytest.mark.parametrize("form", ["frozen", "variables"])
def test_both_forms_compute_the_model(wide, form):
    (logits,) = inference_call(wide, (1, 33, 40, 3), form, seed=5)()
    images = np.random.default_rng(5).uniform(0, 255, (1, 33, 40, 3)).astype("float32")
    expected = wide(images, training=False)["logits"]
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-3)  # of about 100


def test_model_figures_with_memory(wide):
    result = benchmark_models({"wide": wide}, (700, 700), repeats=2)["wide"]
    assert result.parameters == 4 * 64 + 65 * 2
    assert result.multiply_adds.total == 700 * 700 * 64 * (3 + 2)
    # The wide map takes 120 MiB; TensorFlow may hold it twice, and its buffers come on top.
    assert 115 < result.memory.beyond_baseline / 2**20 < 500
    assert result.memory.baseline / 2**20 > 100


@pytest.mark.whole
def test_memory_says_what_went_wrong(wide):
    with pytest.raises(RuntimeError, match="measuring process failed"):
        measure_peak_memory(wide, (0, -5))


def test_atrous_layers():
    result = compare_atrous_layers(channels=6, filters=4, rates=(1, 2, 3), size=(9, 11), repeats=2)
    positions = 9 * 11
    # 1x1, 3x3 a rate and pooling branch, then the 1x1 over all five; scale and offset of each.
    weights, shared = 6 * 4 * (2 + 27) + 20 * 4, 6 * 4 * (2 + 9) + 20 * 4
    assert result.aspp_parameters == weights + 2 * 4 * 6
    assert result.shared_kernel_parameters == shared + 2 * 4 * 6
    assert result.aspp_multiply_adds.total == positions * (6 * 4 * 28 + 20 * 4) + 6 * 4
    assert result.ratio == result.shared_kernel.median / result.aspp.median
