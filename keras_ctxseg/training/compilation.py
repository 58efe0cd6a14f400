"""What `model.compile` gets: optimizer, one loss per output, and the metrics on the main logits."""

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
from keras_ctxseg.training.optimizers import SGD, AdamW, LossScaleOptimizer
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
        center_sigma: of the Gaussians that stand for centres of things, in pixels.
        jit_compile: XLA; on CPU it is several times slower than the plain graph.
        steps_per_execution: steps per call into the graph.

    Returns:
        Keyword arguments for `model.compile`.

    Examples:
        >>> model.compile(**default_compile(model, ignore_label=255, total_steps=1000))
    """
    names = _output_names(model)
    num_classes = int(model.output["logits"].shape[-1])
    if optimizer is None:
        rate = PolyDecay(learning_rate, total_steps) if total_steps else learning_rate
        optimizer = SGD(rate, momentum=0.9, weight_decay=1e-4)
        if model.dtype_policy.name == "mixed_float16":
            optimizer = LossScaleOptimizer(optimizer)
    if pixel_loss is None:
        pixel_loss = SegmentationCrossentropy(ignore_label=ignore_label)
    presence_loss = ClassPresenceLoss(ignore_label=ignore_label)
    losses = {
        "logits": pixel_loss,
        "aux_logits": pixel_loss,
        "presence_logits": presence_loss,
        "aux_presence_logits": presence_loss,
        "center_heatmap": CenterHeatmapLoss(ignore_label=ignore_label, sigma=center_sigma),
        "center_offsets": CenterOffsetLoss(ignore_label=ignore_label),
    }
    weights = {**LOSS_WEIGHTS, **(loss_weights or {})}
    return {
        "optimizer": optimizer,
        "loss": {name: losses[name] for name in names},
        "loss_weights": {name: weights[name] for name in names},
        "metrics": {
            "logits": [
                MeanIoU(num_classes, ignore_label=ignore_label, name="mean_iou"),
                PixelAccuracy(num_classes, ignore_label=ignore_label, name="pixel_accuracy"),
            ]
        },
        "jit_compile": jit_compile,
        "steps_per_execution": steps_per_execution,
    }


def build_optimizer(training: TrainingConfig, total_steps: int) -> keras.optimizers.Optimizer:
    """The optimizer that a recipe asks for, its schedule laid out over `total_steps`."""
    rate = training.learning_rate
    if training.schedule == "poly":
        warmup_steps = min(training.warmup_steps, total_steps - 1)
        rate = PolyDecay(rate, total_steps, training.poly_power, warmup_steps)
    shared: dict[str, Any] = {
        "weight_decay": training.weight_decay,
        "lr_multipliers": {
            "": training.head_lr_multiplier,
            "backbone": 1.0,
            **training.lr_multipliers,
        },
        "global_clipnorm": training.clip_norm,
        "use_ema": training.ema_momentum is not None,
        "ema_momentum": 0.99 if training.ema_momentum is None else training.ema_momentum,
    }
    if training.optimizer == "adamw":
        optimizer = AdamW(rate, beta_1=training.momentum, **shared)
    else:
        optimizer = SGD(rate, momentum=training.momentum, **shared)
    if training.precision == "mixed_float16":
        # `compile` would wrap it too, but a model loaded from a file would then lack the wrapper.
        optimizer = LossScaleOptimizer(optimizer)
    return optimizer


def compile_arguments(
    model: keras.Model, training: TrainingConfig, ignore_label: int, total_steps: int
) -> dict[str, Any]:
    """`default_compile` with a recipe's optimizer and losses."""
    num_classes = int(model.output["logits"].shape[-1])
    if training.class_weights is not None and len(training.class_weights) != num_classes:
        raise ValueError(
            f"`training.class_weights`: expected {num_classes} weights, one per class. "
            f"Received: {len(training.class_weights)}"
        )
    return default_compile(
        model,
        ignore_label,
        optimizer=build_optimizer(training, total_steps),
        pixel_loss=SegmentationCrossentropy(
            ignore_label=ignore_label,
            class_weights=training.class_weights,
            label_smoothing=training.label_smoothing,
            top_k_fraction=training.top_k_fraction,
        ),
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


def _output_names(model: keras.Model) -> list[str]:
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
    unknown = [name for name in outputs if name not in LOSS_WEIGHTS]
    if unknown:
        raise ValueError(
            f"`model` has outputs without a default loss: {unknown}. Known: {list(LOSS_WEIGHTS)}"
        )
    return list(outputs)
