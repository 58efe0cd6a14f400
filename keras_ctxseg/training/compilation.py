"""What `model.compile` gets: optimizer, one loss per output, and the metrics on the main logits."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses import (
    CenterHeatmapLoss,
    CenterOffsetLoss,
    ClassPresenceLoss,
    SegmentationCrossentropy,
)
from keras_ctxseg.metrics import MeanIoU, PixelAccuracy
from keras_ctxseg.runs.config import TrainingConfig
from keras_ctxseg.training.optimizers import SGD, LossScaleOptimizer
from keras_ctxseg.training.recipe_parts import build_losses, build_metrics, build_optimizer
from keras_ctxseg.training.schedule import PolyDecay

LOSS_WEIGHTS = {
    "logits": 1.0,
    "aux_logits": 0.4,
    "presence_logits": 0.2,
    "aux_presence_logits": 0.2,
    "center_heatmap": 200.0,
    "center_offsets": 0.01,
}


def default_compile(
    model: keras.Model,
    ignore_label: int = IGNORE_LABEL,
    learning_rate: float = 0.01,
    total_steps: int | None = None,
    *,
    optimizer: keras.optimizers.Optimizer | None = None,
    pixel_loss: keras.losses.Loss | None = None,
    loss_weights: dict[str, float] | None = None,
    losses: Mapping[str, keras.losses.Loss] | None = None,
    metrics: Mapping[str, Sequence[keras.metrics.Metric]] | None = None,
    center_sigma: float = 8.0,
    jit_compile: bool = False,
    steps_per_execution: int = 1,
) -> dict[str, Any]:
    """Arguments for `model.compile`: the recipe of the field's papers.

    Args:
        model: a model whose output is a dict of logits; one label map serves all its losses.
        ignore_label: label of pixels that count neither in a loss nor in a metric.
        learning_rate: base rate of the default optimizer.
        total_steps: with it the default optimizer's rate decays polynomially over so many steps.
        optimizer: replaces the default, SGD with momentum 0.9 and weight decay 1e-4.
        pixel_loss: replaces the default cross-entropy on `logits` and `aux_logits`.
        loss_weights: factors by output, 1.0, 0.4 and 0.2 for main, auxiliary and presence (from
            the last stage and from an auxiliary one), 200 and 0.01 for centres and offsets of
            things.
        losses: replace the default losses of these outputs. An output that this package does not
            know needs one; its factor is 1.
        metrics: by output, beside mean IoU and pixel accuracy of `logits`.
        center_sigma: of the Gaussians that stand for centres of things, in pixels.
        jit_compile: XLA; on CPU it is several times slower than the plain graph.
        steps_per_execution: steps per call into the graph.

    Returns:
        Keyword arguments for `model.compile`.

    Examples:
        >>> model.compile(**default_compile(model, ignore_label=255, total_steps=1000))
    """
    if optimizer is None:
        rate = PolyDecay(learning_rate, total_steps) if total_steps else learning_rate
        optimizer = SGD(rate, momentum=0.9, weight_decay=1e-4)
        if model.dtype_policy.name == "mixed_float16":
            optimizer = LossScaleOptimizer(optimizer)
    if pixel_loss is None:
        pixel_loss = SegmentationCrossentropy(ignore_label=ignore_label)
    presence_loss = ClassPresenceLoss(ignore_label=ignore_label)
    by_output = {
        "logits": pixel_loss,
        "aux_logits": pixel_loss,
        "presence_logits": presence_loss,
        "aux_presence_logits": presence_loss,
        "center_heatmap": CenterHeatmapLoss(ignore_label=ignore_label, sigma=center_sigma),
        "center_offsets": CenterOffsetLoss(ignore_label=ignore_label),
        **(losses or {}),
    }
    names = _output_names(model, by_output)
    num_classes = int(model.output["logits"].shape[-1])
    own = {
        "logits": [
            MeanIoU(num_classes, ignore_label=ignore_label, name="mean_iou"),
            PixelAccuracy(num_classes, ignore_label=ignore_label, name="pixel_accuracy"),
        ]
    }
    metrics = metrics or {}
    weights = {**LOSS_WEIGHTS, **(loss_weights or {})}
    return {
        "optimizer": optimizer,
        "loss": {name: by_output[name] for name in names},
        "loss_weights": {name: weights.get(name, 1.0) for name in names},
        "metrics": {
            name: [*own.get(name, ()), *metrics.get(name, ())]
            for name in names
            if name in own or name in metrics
        },
        "jit_compile": jit_compile,
        "steps_per_execution": steps_per_execution,
    }


def compile_arguments(
    model: keras.Model, training: TrainingConfig, ignore_label: int, total_steps: int
) -> dict[str, Any]:
    """`default_compile` with a recipe's optimizer, losses and metrics."""
    outputs, num_classes = list(model.output), int(model.output["logits"].shape[-1])
    if training.class_weights is not None and len(training.class_weights) != num_classes:
        raise ValueError(
            f"`training.class_weights`: expected {num_classes} weights, one per class. "
            f"Received: {len(training.class_weights)}"
        )
    return default_compile(
        model,
        ignore_label,
        optimizer=build_optimizer(training, total_steps),
        losses=build_losses(training, outputs, ignore_label, num_classes),
        metrics=build_metrics(training, outputs, ignore_label, num_classes),
        loss_weights={
            "aux_logits": training.auxiliary_weight,
            "presence_logits": training.presence_weight,
            "aux_presence_logits": training.presence_weight,
            "center_heatmap": training.center_weight,
            "center_offsets": training.offset_weight,
        },
        center_sigma=training.center_sigma,
        jit_compile=training.jit_compile,
        steps_per_execution=training.steps_per_execution,
    )


def _output_names(model: keras.Model, losses: Mapping[str, Any]) -> list[str]:
    outputs = model.output
    if not isinstance(outputs, dict) or "logits" not in outputs:
        raise ValueError(
            "`model` must be a functional model whose output is a dict with the key 'logits'. "
            f"Received: {outputs}"
        )
    if len(outputs["logits"].shape) != 4:
        raise ValueError(
            "`model` must be a segmentation model, with logits (batch, height, width, classes). "
            f"Received: {model.name!r} with logits of shape {tuple(outputs['logits'].shape)}"
        )
    unknown = [name for name in outputs if name not in losses]
    if unknown:
        raise ValueError(
            f"`model` has outputs without a default loss: {unknown}. Known: {list(LOSS_WEIGHTS)}. "
            f"Give each a loss of its own: `losses`, or in a recipe `training.losses` with `output`"
        )
    return list(outputs)
