"""One replica against two, and against two workers: the same weights, the same scores.

The networks, the data and the steps stand in `replicas_script.py`.
"""

from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.distribution.processes import run_one, run_workers

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute")
SCRIPT = Path(__file__).with_name("replicas_script.py")
SEVERAL = ["mirrored", "worker0", "worker1"]
TOLERANCE = 1e-5
# Scenarios that run in one process each; the first is most of what depends on replicas.
RUNS = (("recipe",), ("executions1", "executions4", "half", "own", "panoptic"))


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """`results(scenario)`: what each process kept, by its name and then by scenario and value."""

    @cache
    def run(scenarios):
        folder = tmp_path_factory.mktemp("replicas")
        for kind in ("single", "mirrored"):
            run_one(SCRIPT, kind, folder / f"{kind}.npz", *scenarios)
        run_workers(
            SCRIPT, [["workers", folder / f"worker{index}.npz", *scenarios] for index in range(2)]
        )
        return {path.stem: dict(np.load(path)) for path in folder.glob("*.npz")}

    return lambda scenario: next(run(scenarios) for scenarios in RUNS if scenario in scenarios)


def scenarios(*names):
    """Tests with these; all but the first run by `make test-all` alone."""
    marks = {name: () if name in RUNS[0] else pytest.mark.whole for name in names}
    return pytest.mark.parametrize(
        "scenario", [pytest.param(name, marks=mark) for name, mark in marks.items()]
    )


def state(kept, scenario):
    parts = ("weight", "optimizer")
    found = {
        name: value
        for name, value in kept.items()
        if name.startswith(tuple(f"{scenario}/{part}" for part in parts))
    }
    assert len(found) > 20
    return found


@pytest.mark.parametrize("several", SEVERAL)
@scenarios("recipe", "executions1", "executions4", "panoptic")
def test_weights_agree(results, several, scenario):
    """After 3 (recipe), 12 and 6 steps; optimizer, averages and batch statistics included."""
    kept = results(scenario)
    expected, actual = (state(kept[name], scenario) for name in ("single", several))
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=TOLERANCE, err_msg=name)


def test_the_steps_do_something(results):
    """So that agreement means something: the weights moved, clipping and ignored labels bit."""
    kept = results("recipe")["single"]
    momentum = [kept[name] for name in state(kept, "recipe") if "optimizer" in name]
    assert max(np.abs(value).max() for value in momentum if value.dtype.kind == "f") > 1e-2
    assert (kept["recipe/labels"] == 255).any() and (kept["recipe/labels"][3] == 255).all()


@pytest.mark.whole
@pytest.mark.parametrize("name", ["single", *SEVERAL])
def test_steps_per_execution_change_nothing(results, name):
    kept = results("executions1")[name]
    one, four = (state(kept, f"executions{steps}") for steps in (1, 4))
    for value, expected in zip(four.values(), one.values(), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-7)


@pytest.mark.parametrize("several", SEVERAL)
@scenarios("recipe", "executions4", "panoptic")
def test_metrics_agree_exactly(results, several, scenario):
    kept, found = results(scenario), 0
    for name, value in kept["single"].items():
        if not name.startswith(f"{scenario}/"):
            continue
        if name.endswith(("mean_iou", "pixel_accuracy", "confusion", "_segments")):
            np.testing.assert_array_equal(kept[several][name], value, err_msg=name)
            found += 1
        elif name.endswith("loss"):
            np.testing.assert_allclose(kept[several][name], value, rtol=1e-5, err_msg=name)
    assert found >= 4


def counted(logits, labels):
    """Confusion matrix, mean IoU and pixel accuracy by NumPy."""
    valid = labels != 255
    confusion = np.zeros((logits.shape[-1],) * 2, np.int64)
    np.add.at(confusion, (labels[valid], logits.argmax(-1)[valid]), 1)
    hits = np.diagonal(confusion)
    mean_iou = (hits / (confusion.sum(0) + confusion.sum(1) - hits)).mean()
    return confusion, mean_iou, hits.sum() / valid.sum()


@pytest.mark.parametrize("name", ["single", *SEVERAL])
def test_five_images_are_counted_once(results, name):
    """Batches of 4 and 1 on two replicas, in `evaluate`, `predict` and `Evaluator`."""
    kept = results("recipe")[name]
    predicted, labels = kept["recipe/predicted"], kept["recipe/labels"]
    assert predicted.shape[0] == labels.shape[0] == 5
    np.testing.assert_allclose(kept["recipe/alone"], predicted[:3], atol=1e-5)
    confusion, mean_iou, accuracy = counted(predicted, labels)
    np.testing.assert_array_equal(kept["recipe/confusion"], confusion)
    np.testing.assert_allclose(kept["recipe/scores_logits_mean_iou"], mean_iou, rtol=1e-6)
    np.testing.assert_allclose(kept["recipe/scores_logits_pixel_accuracy"], accuracy, rtol=1e-6)


@pytest.mark.parametrize("name", ["single", *SEVERAL])
@scenarios("executions1", "executions4")
def test_validation_counts_five_images_once(results, name, scenario):
    """In fit's own validation; without averaged weights, which `fit` takes over after it."""
    kept = results(scenario)[name]
    _, mean_iou, accuracy = counted(kept[f"{scenario}/validated"], kept[f"{scenario}/labels"])
    scores = f"{scenario}/history_val_logits"
    np.testing.assert_allclose(kept[f"{scores}_mean_iou"], mean_iou, rtol=1e-6)
    np.testing.assert_allclose(kept[f"{scores}_pixel_accuracy"], accuracy, rtol=1e-6)


@pytest.mark.parametrize("several", SEVERAL)
@scenarios("recipe", "executions1", "executions4")
def test_predictions_agree(results, several, scenario):
    kept = results(scenario)
    expected = kept["single"][f"{scenario}/predicted"]
    assert len(expected) == (5 if scenario == "recipe" else 21)
    # Logits of about 1, through three layers of weights that agree to 1e-5.
    np.testing.assert_allclose(kept[several][f"{scenario}/predicted"], expected, atol=5e-5)


@pytest.mark.whole
@pytest.mark.parametrize("several", SEVERAL)
def test_replicas_skip_an_overflow_together(results, several):
    """Half precision: the same steps skipped, the same scale; weights as near as its rounding."""
    kept, alone = (results("half")[name] for name in (several, "single"))
    assert 0 < kept["half/iterations"] < 16 and kept["half/scale"] < 2**24
    for name in ("half/iterations", "half/scale"):
        assert kept[name] == alone[name]
    for name, value in state(alone, "half").items():
        assert np.all(np.isfinite(kept[name]))
        np.testing.assert_allclose(kept[name], value, atol=1e-2, err_msg=name)


@pytest.mark.whole
@pytest.mark.parametrize("several", SEVERAL)
def test_replicas_agree_on_statistics_of_their_own(results, several):
    """Without synchronisation every replica ends with the same, averaged moving statistics."""
    kept, alone = (results("own")[name] for name in (several, "single"))
    first = results("own")["mirrored" if several == "mirrored" else "worker0"]
    np.testing.assert_array_equal(kept["own/last_replica"], first["own/last_replica"])
    # The mean of two halves' means is the mean; both workers hold it.
    np.testing.assert_allclose(kept["own/last_replica"], alone["own/last_replica"], atol=2e-3)
