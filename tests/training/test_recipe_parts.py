"""Optimizers, schedules, losses and metrics by name: what each gets, and what is refused."""

import re
from typing import get_args

import keras
import numpy as np
import pytest

from keras_ctxseg.losses import SegmentationCrossentropy
from keras_ctxseg.runs.config import LossConfig, LossName, MetricConfig, Named, TrainingConfig
from keras_ctxseg.training import SGD, LossScaleOptimizer, PolyDecay
from keras_ctxseg.training.compilation import compile_arguments
from keras_ctxseg.training.recipe_parts import build_callbacks, build_optimizer, check_names


@keras.saving.register_keras_serializable("tests_parts")
class MeanMargin(keras.losses.Loss):
    """Stands for somebody's loss."""

    def __init__(self, margin=1.0, ignore_label=255, num_classes=None, name="mean_margin"):
        super().__init__(name=name)
        self.margin, self.ignore_label, self.num_classes = margin, ignore_label, num_classes

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.relu(self.margin - y_pred))


class WithMultipliers(keras.optimizers.SGD):
    def __init__(self, lr_multipliers=None, **kwargs):
        super().__init__(**kwargs)
        self.lr_multipliers = lr_multipliers


class Noted(keras.callbacks.Callback):
    def __init__(self, directory, every=1):
        super().__init__()
        self.directory, self.every = directory, every


LOSS, METRIC = f"{__name__}.MeanMargin", "keras.metrics.MeanMetricWrapper"


def test_another_optimizer_gets_the_sections_settings():
    training = TrainingConfig(
        optimizer="keras.optimizers.Lion",
        optimizer_arguments={"beta_1": 0.8},
        learning_rate=0.3,
        schedule="constant",
        clip_norm=2.0,
        ema_momentum=0.7,
        weight_decay=0.02,
    )
    optimizer = build_optimizer(training, 100)
    assert type(optimizer) is keras.optimizers.Lion
    assert float(optimizer.learning_rate) == pytest.approx(0.3)
    assert (optimizer.beta_1, optimizer.global_clipnorm, optimizer.weight_decay) == (0.8, 2.0, 0.02)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.7)
    half = TrainingConfig(optimizer="keras.optimizers.Lion", precision="mixed_float16")
    wrapped = build_optimizer(half, 100)
    assert isinstance(wrapped, LossScaleOptimizer)
    assert isinstance(wrapped.inner_optimizer, keras.optimizers.Lion)


def test_own_optimizers_take_further_arguments():
    optimizer = build_optimizer(TrainingConfig(optimizer_arguments={"nesterov": True}), 100)
    assert type(optimizer) is SGD
    assert optimizer.nesterov
    assert optimizer.momentum == 0.9


def test_multipliers_go_where_they_are_known():
    name = f"{__name__}.WithMultipliers"
    optimizer = build_optimizer(TrainingConfig(optimizer=name, head_lr_multiplier=10.0), 100)
    assert optimizer.lr_multipliers == {"": 10.0, "backbone": 1.0}


def test_another_schedule_gets_rate_and_steps():
    training = TrainingConfig(
        learning_rate=0.2,
        schedule="keras.optimizers.schedules.CosineDecay",
        schedule_arguments={"alpha": 0.5},
    )
    rate = build_optimizer(training, 80)._learning_rate
    # Keras' documentation: (1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha.
    for step in (0, 20, 80):
        expected = 0.2 * (0.5 * 0.5 * (1 + np.cos(np.pi * step / 80)) + 0.5)
        assert float(rate(step)) == pytest.approx(expected, rel=1e-5)
    poly = TrainingConfig(schedule_arguments={"end_learning_rate": 0.001})
    rate = build_optimizer(poly, 80)._learning_rate
    assert type(rate) is PolyDecay
    assert float(rate(80)) == pytest.approx(0.001)


def test_a_constant_rate_warms_up():
    training = TrainingConfig(schedule="constant", learning_rate=0.3, warmup_steps=4)
    rate = build_optimizer(training, 80)._learning_rate
    rates = [float(rate(step)) for step in (0, 1, 2, 3, 4, 40, 80)]
    assert rates == pytest.approx([0.075, 0.15, 0.225, 0.3, 0.3, 0.3, 0.3])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"optimizer": "keras.optimizers.Lyon"},
            "`training.optimizer`: keras.optimizers has no 'Lyon'. Did you mean 'Lion'?",
        ),
        (
            {"optimizer": "keras.losses.Dice", "weight_decay": 0.0},
            "`training.optimizer`: keras.losses.Dice: ",
        ),
        (
            {"optimizer": "keras.optimizers.Lion", "head_lr_multiplier": 10.0},
            "keras.optimizers.Lion has no parameter `lr_multipliers`; take sgd or adamw",
        ),
        (
            {"optimizer": "keras.optimizers.Lion", "momentum": 0.5},
            "`training.momentum`: a setting of this package's own optimizers. Give keras.optimize",
        ),
        (
            {"schedule": "keras.optimizers.schedules.CosineDecay", "warmup_steps": 3},
            "`training.warmup_steps`: a setting of this package's own schedules.",
        ),
        (
            {"schedule": "constant", "poly_power": 0.5},
            "`training.poly_power`: a setting of the schedule poly, and `training.schedule` is",
        ),
        (
            {"schedule": "constant", "schedule_arguments": {"power": 2}},
            "`training.schedule_arguments`: expected none for a constant rate. Received: {'power'",
        ),
        (
            {"schedule_arguments": {"power": 2}},
            "`training.schedule_arguments.power`: other keys of `training` set it already",
        ),
        (
            {"optimizer_arguments": {"momentum": 0.5}},
            "`training.optimizer_arguments.momentum`: other keys of `training` set it already",
        ),
        (
            {"optimizer_arguments": {"nesterof": True}},
            "`training.optimizer_arguments`: sgd: ",
        ),
        (
            {"schedule": "keras.optimizers.SGD"},
            "expected keras.optimizers.SGD to make a Keras LearningRateSchedule. Received: <keras",
        ),
    ],
)
def test_optimizer_errors(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        build_optimizer(TrainingConfig(**settings), 100)


def test_losses_are_added_up(make_model, rng):
    model = make_model(auxiliary=True)
    training = TrainingConfig(
        label_smoothing=0.1,
        losses=(
            LossConfig("crossentropy", weight=0.5),
            LossConfig(LOSS, {"margin": 2.0}, weight=0.25),
            LossConfig(LOSS, output="aux_logits"),
        ),
    )
    losses = compile_arguments(model, training, 7, 10)["loss"]
    labels = rng.integers(0, 3, (2, 4, 5)).astype("int32")
    logits = rng.normal(size=(2, 4, 5, 3)).astype("float32")
    cross = float(SegmentationCrossentropy(7, label_smoothing=0.1)(labels, logits))
    by_hand = [float(np.maximum(margin - logits, 0).mean()) for margin in (2.0, 1.0)]
    expected = 0.5 * cross + 0.25 * by_hand[0]
    assert float(losses["logits"](labels, logits)) == pytest.approx(expected, rel=1e-5)
    expected += by_hand[1]
    assert float(losses["aux_logits"](labels, logits)) == pytest.approx(expected, rel=1e-5)
    margin = losses["logits"].losses[1]
    assert (margin.ignore_label, margin.num_classes) == (7, 3)
    assert type(losses["presence_logits"]).__name__ == "ClassPresenceLoss"


def test_the_packages_own_losses_by_name(make_model):
    names = [name for name in get_args(LossName) if name != "crossentropy"]
    losses = (
        LossConfig("tversky", {"alpha": 0.1, "beta": 0.9}),
        *(LossConfig(name) for name in names if name != "tversky"),
    )
    check_names(TrainingConfig(losses=losses))
    made = compile_arguments(make_model(), TrainingConfig(losses=losses), 7, 10)["loss"]
    parts = made["logits"].losses
    assert {part.name for part in parts} == set(names)
    assert all(part.ignore_label == 7 for part in parts)
    assert parts[0].alpha == 0.1
    wrong = TrainingConfig(losses=(LossConfig("dice", {"alpha": 1}),))
    with pytest.raises(ValueError, match=re.escape("`training.losses[0]`: dice")):
        compile_arguments(make_model(), wrong, 7, 10)


def test_without_losses_the_cross_entropy_is_alone(make_model):
    training = TrainingConfig(class_weights=(1.0, 2.0, 3.0))
    for outputs in ((), (LossConfig(LOSS, output="presence_logits"),)):
        training = TrainingConfig(class_weights=(1.0, 2.0, 3.0), losses=outputs)
        losses = compile_arguments(make_model(auxiliary=True), training, 255, 10)["loss"]
        for name in ("logits", "aux_logits"):
            assert type(losses[name]) is SegmentationCrossentropy
            assert losses[name].class_weights == [1.0, 2.0, 3.0]
    assert type(losses["presence_logits"]) is MeanMargin


def test_an_output_that_the_package_does_not_know_needs_a_loss(make_model):
    images = make_model().input
    logits = make_model()(images)["logits"]
    edges = keras.layers.Conv2D(1, 1, name="edges")(logits)
    model = keras.Model(images, {"logits": logits, "edges": edges})
    with pytest.raises(ValueError, match=r"without a default loss: \['edges'\].*training.losses"):
        compile_arguments(model, TrainingConfig(), 255, 10)
    training = TrainingConfig(losses=(LossConfig(LOSS, output="edges"),))
    arguments = compile_arguments(model, training, 255, 10)
    assert type(arguments["loss"]["edges"]) is MeanMargin
    assert arguments["loss_weights"]["edges"] == 1.0


def test_metrics_join_the_defaults(make_model):
    training = TrainingConfig(
        metrics=(
            MetricConfig("keras.metrics.IoU", {"num_classes": 3, "target_class_ids": [1],
                                              "ignore_class": 255, "sparse_y_pred": False}),
            MetricConfig("keras.metrics.Mean", output="presence_logits"),
        )
    )  # fmt: skip
    metrics = compile_arguments(make_model(auxiliary=True), training, 255, 10)["metrics"]
    assert [metric.name for metric in metrics["logits"]] == ["mean_iou", "pixel_accuracy", "io_u"]
    assert [type(metric) for metric in metrics["presence_logits"]] == [keras.metrics.Mean]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"losses": (LossConfig(LOSS, output="edges"),)},
            "`training.losses[0].output`: expected one of the model's outputs ['logits']. Received",
        ),
        (
            {"losses": (LossConfig("keras.metrics.Mean"),)},
            "`training.losses[0]`: expected keras.metrics.Mean to make a Keras Loss.",
        ),
        (
            {"losses": (LossConfig(LOSS),), "label_smoothing": 0.1},
            "`training.label_smoothing`: a setting of crossentropy, which `training.losses` does n",
        ),
        (
            {"losses": (LossConfig("crossentropy", {"label_smoothing": 0.1}),)},
            "`training.losses[0].arguments.label_smoothing`: other keys of `training` set it alre",
        ),
        (
            {"metrics": (MetricConfig("keras.losses.Dice"),)},
            "`training.metrics[0]`: expected keras.losses.Dice to make a Keras Metric.",
        ),
    ],
)
def test_loss_and_metric_errors(make_model, settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        compile_arguments(make_model(), TrainingConfig(**settings), 255, 10)


def test_callbacks_are_made_in_order_and_told_the_folder(tmp_path):
    noted = f"{__name__}.Noted"
    training = TrainingConfig(callbacks=(Named(noted, {"every": 3}), Named(noted)))
    made = build_callbacks(training, tmp_path)
    assert [callback.every for callback in made] == [3, 1]
    assert made[0].directory == str(tmp_path)
    with pytest.raises(ValueError, match=re.escape("`training.callbacks[0]`: expected ker")):
        build_callbacks(TrainingConfig(callbacks=(Named("keras.losses.Dice"),)), tmp_path)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"optimizer": "nowhere.X"}, "training.optimizer"),
        ({"schedule": "nowhere.X"}, "training.schedule"),
        ({"losses": (LossConfig("crossentropy"), LossConfig("nowhere.X"))}, "training.losses[1]"),
        ({"metrics": (MetricConfig("nowhere.X"),)}, "training.metrics[0]"),
        ({"callbacks": (Named("nowhere.X"),)}, "training.callbacks[0]"),
    ],
)
def test_every_name_is_looked_up_at_the_start(settings, key):
    with pytest.raises(ValueError, match=re.escape(f"`{key}`: there is no module 'nowhere'")):
        check_names(TrainingConfig(**settings))
