"""What `default_compile` and a recipe hand to `model.compile`: the documented recipe."""

import keras
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.training.compilation import compile_arguments


def test_the_default_recipe(make_model):
    arguments = ctx.training.default_compile(
        make_model(auxiliary=True), ignore_label=7, learning_rate=0.02, total_steps=100
    )
    config = arguments["optimizer"].get_config()
    assert (config["momentum"], config["weight_decay"], config["nesterov"]) == (0.9, 1e-4, False)
    schedule = arguments["optimizer"]._learning_rate
    assert float(schedule(0)) == pytest.approx(0.02)
    assert float(schedule(50)) == pytest.approx(0.02 * 0.5**0.9)
    assert arguments["loss_weights"] == {"logits": 1.0, "aux_logits": 0.4, "presence_logits": 0.2}
    assert {loss.ignore_label for loss in arguments["loss"].values()} == {7}
    metrics = arguments["metrics"]["logits"]
    assert [(metric.name, metric.ignore_label) for metric in metrics] == [
        ("mean_iou", 7),
        ("pixel_accuracy", 7),
    ]


def test_a_recipe_decides(make_model):
    training = ctx.training.TrainingConfig(
        momentum=0.8,
        weight_decay=3e-4,
        learning_rate=0.05,
        warmup_steps=10,
        auxiliary_weight=0.3,
        presence_weight=0.1,
        label_smoothing=0.2,
        class_weights=(1.0, 2.0, 3.0),
    )
    arguments = compile_arguments(make_model(auxiliary=True), training, 9, total_steps=100)
    config = arguments["optimizer"].get_config()
    assert (config["momentum"], config["weight_decay"]) == (0.8, 3e-4)
    schedule = arguments["optimizer"]._learning_rate
    assert float(schedule(4)) == pytest.approx(0.05 * 5 / 10)
    assert arguments["loss_weights"] == {"logits": 1.0, "aux_logits": 0.3, "presence_logits": 0.1}
    pixels = arguments["loss"]["logits"]
    assert isinstance(pixels, keras.losses.Loss)
    assert (pixels.ignore_label, pixels.label_smoothing) == (9, 0.2)
    assert pixels.class_weights == [1.0, 2.0, 3.0]
