"""Which score keeps `best.keras`, and when early stopping ends a run."""

import csv
import re

import keras
import numpy as np
import pytest

from keras_ctxseg.runs.checkpoint import TrainingState, read_state
from keras_ctxseg.runs.config import ConfigError, EarlyStoppingConfig, TrainingConfig
from keras_ctxseg.training.run import train
from keras_ctxseg.training.selection import EarlyStopping, check_scores

pytestmark = pytest.mark.usefixtures("tiny_parts")


def quiet(line):
    pass


class Kept(keras.callbacks.Callback):
    """Notes the epoch that `best.keras` holds after each one."""

    def __init__(self, directory):
        super().__init__()
        self.directory, self.epochs = directory, []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(read_state(self.directory / "checkpoints/best.keras").epoch)


def column(directory, name):
    with (directory / "log.csv").open() as file:
        return [float(row[name] or "nan") for row in csv.DictReader(file)]


def best_so_far(values):
    return [1 + int(np.argmax(values[: k + 1])) for k in range(len(values))]


def test_the_best_weights_are_those_of_the_highest_score(make_config):
    config = make_config(epochs=6, best_score="f1.green", learning_rate=0.3)
    kept = Kept(config.directory)
    result = train(config, say=quiet, callbacks=[kept])
    scores = column(result.directory, "val_f1.green")
    assert kept.epochs == best_so_far(scores)
    assert len(set(scores)) > 1
    assert result.best_score == pytest.approx(max(scores))
    assert result.best_mean_iou == pytest.approx(max(column(result.directory, "val_mean_iou")))
    state = read_state(result.directory / "checkpoints/best.keras")
    assert (state.best_score, state.best_score_name) == (pytest.approx(max(scores)), "f1.green")


def test_early_stopping_waits_for_validations(make_config):
    """Nothing improves by 1: after the first validation it waits for two more of them."""
    stopping = EarlyStoppingConfig(patience=2, score="pixel_accuracy", min_delta=1.0)
    config = make_config(epochs=12, validate_every=2, early_stopping=stopping)
    result = train(config, say=quiet)
    assert result.epochs == 6
    assert np.isnan(column(result.directory, "val_pixel_accuracy")).tolist() == [True, False] * 3
    said = []
    assert train(config, resume=True, say=said.append).epochs == 6
    assert any("ended by a callback after epoch 6" in line for line in said)


def test_a_score_that_does_not_exist_yet_is_no_best():
    """NaN, as of a class that neither labels nor predictions show."""
    stopping = EarlyStopping("f1.sky", patience=2, min_delta=0.0)
    stopping.set_model(keras.Sequential())
    stopping.model.stop_training = False
    stopping.on_train_begin()
    stopped = []
    for epoch, score in enumerate([np.nan, 0.1, 0.2, np.nan, 0.1]):
        stopping.on_epoch_end(epoch, {"val_f1.sky": score})
        stopped.append(stopping.model.stop_training)
    assert stopped == [False, False, False, False, True]


def test_another_score_begins_anew_on_resume(make_config):
    train(make_config(epochs=2), say=quiet)
    config = make_config(epochs=3, best_score="pixel_accuracy")
    result = train(config, resume=True, say=quiet)
    state = read_state(result.directory / "checkpoints/last.keras")
    assert state.best_score_name == "pixel_accuracy"
    last = column(result.directory, "val_pixel_accuracy")[-1]
    assert state.best_score == pytest.approx(last)
    assert read_state(result.directory / "checkpoints/best.keras").epoch == 3


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"best_score": "miou"}, "`training.best_score`: expected one of ['mean_iou'"),
        ({"best_score": "iou.roed"}, "Received: 'iou.roed'. Did you mean 'iou.road'?"),
        ({"best_score": "panoptic_quality"}, "`training.best_score`: expected one of"),
        (
            {"early_stopping": EarlyStoppingConfig(score="loss")},
            "`training.early_stopping.score`: expected one of",
        ),
    ],
)
def test_a_score_that_is_not_there(training, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_scores(TrainingConfig(**training), ("road", "sky"), panoptic=False)


def test_scores_that_are_there():
    for name in ("mean_iou", "mean_f1", "panoptic_quality", "precision.sky", "accuracy.road"):
        check_scores(TrainingConfig(best_score=name), ("road", "sky"), panoptic=True)


def test_states_without_a_best_score_are_of_mean_iou():
    assert TrainingState(1, 2, best_mean_iou=0.5).best_score_name == "mean_iou"
