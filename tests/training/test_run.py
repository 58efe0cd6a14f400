"""Whole runs on the tiny network: what they leave, and that a stopped one continues exactly."""

import csv
import dataclasses
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.runs import checkpoint_history
from keras_ctxseg.runs.checkpoint import CheckpointError, read_state
from keras_ctxseg.runs.config import LossConfig, MetricConfig
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.training import ConfigError, load_config
from keras_ctxseg.training.run import train

pytestmark = pytest.mark.usefixtures("tiny_parts")


class StoppedError(Exception):
    pass


def stop_after(monkeypatch, epochs):
    """Kills the run right after the checkpoint of the given epoch."""
    original = checkpoint_history.save_checkpoint

    def save_then_stop(model, path, state, *rest):
        original(model, path, state, *rest)
        if state.epoch == epochs:
            raise StoppedError

    monkeypatch.setattr(checkpoint_history, "save_checkpoint", save_then_stop)
    return lambda: monkeypatch.setattr(checkpoint_history, "save_checkpoint", original)


def read_log(directory):
    with (directory / "log.csv").open() as file:
        return list(csv.DictReader(file))


def state_of(path):
    """All weights and optimizer variables in a checkpoint."""
    model = keras.models.load_model(path)
    assert model.optimizer.built
    return [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]


def quiet(line):
    pass


def test_a_run_leaves_everything(make_config):
    config = make_config(epochs=2, ema_momentum=0.5, weight_decay=1e-4, head_lr_multiplier=2.0)
    said = []
    result = train(config, say=said.append)

    assert (result.epochs, result.steps) == (2, 4)
    assert load_config(result.directory / "config.yaml") == config
    rows = read_log(result.directory)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert result.best_mean_iou == pytest.approx(max(float(row["val_mean_iou"]) for row in rows))
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([0.05, 0.05 * (1 - 2 / 4) ** 0.9])
    assert read_state(result.directory / "checkpoints/last.keras").step == 4
    assert list((result.directory / "tensorboard").glob("events*"))
    facts = "\n".join(said)
    assert "8 images in train, 4 in val" in facts
    assert "4 of 4 images, 2 epochs of 2" in facts
    assert str(result.directory) in facts


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "ema_momentum": 0.8, "warmup_steps": 3},
        {"optimizer": "adamw", "learning_rate": 0.01, "precision": "mixed_float16"},
        {
            "optimizer": "keras.optimizers.Lion",
            "learning_rate": 0.001,
            "ema_momentum": 0.8,
            "schedule": "keras.optimizers.schedules.CosineDecay",
            "losses": (
                LossConfig("crossentropy"),
                LossConfig(
                    "keras.losses.SparseCategoricalCrossentropy",
                    {"from_logits": True, "ignore_class": 255},
                    weight=0.5,
                ),
            ),
            "metrics": (
                MetricConfig(
                    "keras.metrics.IoU",
                    {"target_class_ids": [1], "ignore_class": 255, "sparse_y_pred": False},
                ),
            ),
        },
    ],
    ids=["sgd-ema", "adamw-float16", "by-name"],
)
def test_resumed_equals_uninterrupted(make_config, monkeypatch, settings):
    straight = train(make_config("straight", **settings), say=quiet)

    config = make_config("resumed", **settings)
    go_on = stop_after(monkeypatch, epochs=2)
    with pytest.raises(StoppedError):
        train(config, say=quiet)
    go_on()
    resumed = train(config, resume=True, say=quiet)

    assert (resumed.epochs, resumed.steps) == (4, 8)
    expected = state_of(straight.directory / "checkpoints/last.keras")
    actual = state_of(resumed.directory / "checkpoints/last.keras")
    assert len(actual) == len(expected)
    for value, oracle in zip(actual, expected, strict=True):
        np.testing.assert_allclose(value, oracle, atol=1e-6)
    assert resumed.best_mean_iou == pytest.approx(straight.best_mean_iou, abs=1e-6)
    ours, theirs = read_log(resumed.directory), read_log(straight.directory)
    assert [row["epoch"] for row in ours] == ["0", "1", "2", "3"]
    for column in ("loss", "val_mean_iou", "learning_rate"):
        np.testing.assert_allclose(
            [float(row[column]) for row in ours],
            [float(row[column]) for row in theirs],
            atol=1e-5,
        )


def test_best_holds_averages_and_last_holds_raw_weights(make_config):
    result = train(make_config(epochs=1, ema_momentum=0.9), say=quiet)
    best = keras.models.load_model(result.directory / "checkpoints/best.keras")
    last = keras.models.load_model(result.directory / "checkpoints/last.keras")
    averages = last.optimizer._model_variables_moving_average
    for averaged, expected in zip(best.trainable_variables, averages, strict=True):
        np.testing.assert_allclose(averaged.numpy(), expected.numpy(), atol=1e-7)
    averaged, raw = (model.trainable_variables[0].numpy() for model in (best, last))
    assert np.abs(averaged - raw).max() > 1e-5
    moving = [model.get_layer("backbone_norm").moving_mean.numpy() for model in (best, last)]
    np.testing.assert_array_equal(*moving)


def test_an_earlier_run_is_not_overwritten_unasked(make_config):
    config = make_config(epochs=1)
    directory = train(config, say=quiet).directory
    stray = directory / "notes.txt"
    stray.write_text("mine")
    with pytest.raises(ConfigError, match=r"already holds a run.*--resume.*--overwrite"):
        train(config, say=quiet)
    longer = dataclasses.replace(config.training, epochs=2)
    result = train(dataclasses.replace(config, training=longer), overwrite=True, say=quiet)
    assert [row["epoch"] for row in read_log(directory)] == ["0", "1"]
    assert result.epochs == 2
    assert stray.read_text() == "mine"


def test_resuming_says_what_changed_and_when_nothing_is_left(make_config):
    config = make_config(epochs=1)
    train(config, say=quiet)
    said = []
    train(config, resume=True, say=said.append)
    assert "The run is complete after 1 epochs" in said[-1]
    longer = dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=2))
    said = []
    assert train(longer, resume=True, say=said.append).epochs == 2
    assert "Changed since the run began: training.epochs: 1 -> 2" in said


def test_steps_may_end_inside_an_epoch(make_config):
    result = train(make_config(steps=5), say=quiet)
    assert (result.epochs, result.steps) == (3, 5)
    last = keras.models.load_model(result.directory / "checkpoints/last.keras")
    assert int(last.optimizer.iterations) == 5


def test_validation_may_be_rarer(make_config):
    result = train(make_config(epochs=3, validate_every=2), say=quiet)
    assert [bool(row["val_mean_iou"]) for row in read_log(result.directory)] == [False, True, True]


def test_a_diverged_run_keeps_its_last_good_checkpoint(make_config):
    config = make_config(epochs=1)
    directory = train(config, say=quiet).directory
    wild = dataclasses.replace(config.training, epochs=2, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"the loss became (nan|inf) in epoch 2.*learning_rate"):
        train(dataclasses.replace(config, training=wild), resume=True, say=quiet)
    assert read_state(directory / "checkpoints/last.keras").epoch == 1


def test_resuming_with_another_optimizer_is_refused(make_config):
    config = make_config(epochs=1)
    train(config, say=quiet)
    other = dataclasses.replace(config.training, epochs=2, optimizer="adamw")
    with pytest.raises(CheckpointError, match="its optimizer or schedule is another one than conf"):
        train(dataclasses.replace(config, training=other), resume=True, say=quiet)


def test_leftovers_of_a_killed_save_are_removed(make_config):
    config = make_config(epochs=1)
    directory = train(config, say=quiet).directory
    leftover = directory / f"checkpoints/.last.{os.getpid()}.partial.keras"
    leftover.write_bytes(b"half a file")
    said = []
    train(config, resume=True, say=said.append)
    assert not leftover.exists()
    assert any(str(leftover) in line for line in said)


def test_split_and_class_count_are_checked(make_config):
    config = make_config(epochs=1)
    wrong = dataclasses.replace(config, data=dataclasses.replace(config.data, train_split="trian"))
    with pytest.raises(ConfigError, match="`data.train_split`: expected one of train, val"):
        train(wrong, say=quiet)
    wrong = dataclasses.replace(config, model=dataclasses.replace(config.model, num_classes=7))
    with pytest.raises(
        ConfigError, match="`model.num_classes`: the data set stripes has 3 classes"
    ):
        train(wrong, say=quiet)


def test_plan_refuses_steps_that_do_not_divide(make_config):
    with pytest.raises(
        ConfigError, match="steps_per_execution`: expected a divisor of the 3 steps_per"
    ):
        Plan.of(make_config(steps_per_epoch=3, steps_per_execution=2).training, 10)


def test_default_compile_trains_all_outputs(make_model):
    model = make_model(auxiliary=True)
    arguments = ctx.training.default_compile(model, ignore_label=255, total_steps=10)
    model.compile(**arguments)
    assert set(arguments["loss"]) == {"logits", "aux_logits", "presence_logits"}
    assert arguments["loss_weights"] == {"logits": 1.0, "aux_logits": 0.4, "presence_logits": 0.2}
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, 40, 36, 3)).astype("float32")
    labels = rng.integers(0, 3, (2, 40, 36)).astype("int32")
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    parts = logs["logits_loss"] + 0.4 * logs["aux_logits_loss"] + 0.2 * logs["presence_logits_loss"]
    assert logs["loss"] == pytest.approx(parts, rel=1e-5)
    predicted = model.predict(images, verbose=0)["logits"].argmax(-1)
    assert logs["logits_pixel_accuracy"] == pytest.approx((predicted == labels).mean(), abs=1e-6)


def test_tensorboard_gets_scalars_and_overlays(make_config, make_dataset):
    from tensorflow.python.summary.summary_iterator import summary_iterator

    dataset = make_dataset()
    directory = train(make_config(epochs=2, overlay_images=2), say=quiet).directory
    (events,) = (directory / "tensorboard").glob("events*")
    tags = {}
    for event in summary_iterator(str(events)):
        for value in event.summary.value:
            tags.setdefault(value.tag, []).append((event.step, value))
    assert {"loss", "learning_rate", "val_mean_iou", "epoch"} <= set(tags)
    assert [step for step, _ in tags["loss"]] == [2, 4]
    logged = float(tf.make_ndarray(tags["val_mean_iou"][1][1].tensor))
    assert logged == pytest.approx(float(read_log(directory)[1]["val_mean_iou"]), abs=1e-6)
    # The first and the third of four validation images: picture, truth and prediction abreast.
    assert {tag for tag in tags if tag.startswith("validation/")} == {
        "validation/val0",
        "validation/val2",
    }
    width, height, picture = tags["validation/val2"][1][1].tensor.string_val
    panel = tf.io.decode_png(picture).numpy()
    assert (int(width), int(height)) == (120, 40) and panel.shape == (40, 120, 3)
    example = list(dataset.examples("val").as_numpy_iterator())[2]
    np.testing.assert_array_equal(panel[:, :40], example["image"])
    valid = example["label"] != 255
    colours = dataset.palette[np.where(valid, example["label"], 0)]
    np.testing.assert_array_equal(panel[:, 40:80][valid], colours[valid])
