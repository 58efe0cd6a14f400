"""The configuration of a run: what a YAML recipe may say, its types and its defaults.

Imports neither Keras nor TensorFlow, so that a wrong key is reported at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from keras_ctxseg._limits import (
    FOLDER_NAME,
    SHARE_BELOW_1,
    Count,
    Factor,
    Limit,
    Positive,
    at_least,
    between,
    check_limits,
    require,
    sides,
)
from keras_ctxseg._named import Named
from keras_ctxseg._options import DottedName
from keras_ctxseg.data.augmentation_config import AugmentationConfig
from keras_ctxseg.inference.protocol import Average, Blend, ProtocolName
from keras_ctxseg.panoptic.options import GroupingOptions


class ConfigError(ValueError):
    """A recipe that cannot be read; the message names the file, the key and what was expected."""


LossName = Literal[
    "crossentropy", "focal", "dice", "tversky", "jaccard", "lovasz_softmax", "boundary"
]


@dataclass(frozen=True)
class LossConfig(Named):
    """One of the losses that are added up.

    Args:
        name: `crossentropy`, with the section's `class_weights`, `label_smoothing` and
            `top_k_fraction`; another one of `keras_ctxseg.losses` (`focal`, `dice`, `tversky`,
            `jaccard`, `lovasz_softmax`, `boundary`); or one of others by its dotted name.
        arguments: of the loss. It also gets `ignore_label` and `num_classes`, if it has parameters
            of these names.
        weight: factor of the loss.
        output: the model's output that it is about; null is `logits`, and `aux_logits` where the
            model has them.
    """

    name: LossName | DottedName
    weight: Factor = 1.0
    output: str | None = None

    def __post_init__(self):
        check_limits(self, "training.losses", ConfigError)


@dataclass(frozen=True)
class MetricConfig(Named):
    """A metric of the training images, beside mean IoU and pixel accuracy.

    Args:
        name: its dotted name.
        arguments: of the metric. It also gets `ignore_label` and `num_classes`, if it has
            parameters of these names.
        output: the model's output that it is about.
    """

    output: str = "logits"


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """When a run ends before its last epoch.

    Args:
        patience: validations in a row without a better score.
        score: of the validation, as `training.best_score`.
        min_delta: by how much a score must be higher to count as better, in 0 ... 1.
    """

    patience: Count = 10
    score: str = "mean_iou"
    min_delta: Factor = 0.0

    def __post_init__(self):
        check_limits(self, "training.early_stopping", ConfigError)


StrategyName = Literal["auto", "one_device", "mirrored", "multi_worker", "tpu"]
Communication = Literal["auto", "nccl", "ring", "hierarchical"]
LitertFormName = Literal["fp32", "fp16", "dynamic", "int8", "full_int8"]
IMAGE_SCALE = Limit("0 < scale <= 4", lambda scale: 0 < scale <= 4)
FORMS = Limit("at least one form, each once", lambda forms: 0 < len(forms) == len(set(forms)))
CLASS_WEIGHTS = Limit(
    "finite weights of at least 0, not all of them 0",
    lambda weights: all(0 <= weight < math.inf for weight in weights) and any(weights),
)
SCALES = Limit(
    "one factor or more, each above 0 and at most 8",
    lambda scales: len(scales) > 0 and all(0 < scale <= 8 for scale in scales),
)


@dataclass(frozen=True)
class ModelConfig:
    """Which network is built.

    Args:
        name: `<family>_<backbone>`, as `keras_ctxseg.models.list_models()` lists them.
        num_classes: classes to predict; null takes the data set's count.
        options: further arguments of `keras_ctxseg.models.build`, which checks them.
        weights: what to start from: path of a `.keras` or `.weights.h5` file, `imagenet`, or
            another project's checkpoint, as `keras_ctxseg.models.build` takes it.
    """

    name: str
    num_classes: Annotated[int, at_least(2)] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None

    def __post_init__(self):
        check_limits(self, "model", ConfigError)


@dataclass(frozen=True)
class DataConfig:
    """Which images and labels are read.

    Args:
        name: `context_scenes`, `folder`, ... as `keras_ctxseg.data.list_datasets()` lists them.
        options: arguments of that data set (`path` of a folder), which checks them.
        train_split, validation_split: names of splits.
        image_scale: every image is resized by this factor before anything else, in training,
            evaluation and prediction. Scores still count at the label map's own size.
        cache: keep decoded, resized images in memory: true, false, or `auto`: up to 1 GiB.
        check: of a `folder` data set before training, as `ctxseg check-data` does it: `sample`
            opens 32 pairs of each split, `full` all; `off`. Errors stop the run.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    train_split: str = "train"
    validation_split: str = "val"
    image_scale: Annotated[float, IMAGE_SCALE] = 1.0
    cache: Literal["auto"] | bool = "auto"
    # YAML reads a plain `off` as false.
    check: Annotated[
        Literal["sample", "full", "off"] | bool,
        Limit("sample, full or off", lambda value: value is not True),
    ] = "sample"

    def __post_init__(self):
        check_limits(self, "data", ConfigError)


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is optimised.

    Args:
        batch_size: images per step, over all replicas.
        epochs: passes over the training split.
        steps: optimizer steps in all; overrides `epochs` where given.
        steps_per_epoch: steps between two turns of logging and saving; null is one pass over the
            split.
        optimizer, momentum, weight_decay: `sgd` couples the decay (L2), `adamw` does not; both
            spare batch normalisation and biases. `momentum` is Adam's first moment. Or another
            optimizer by its dotted name.
        optimizer_arguments: further ones of the optimizer.
        learning_rate, schedule, poly_power, warmup_steps: rate of step k, see `PolyDecay`;
            `constant` stays at the learning rate after its warm-up. The schedule may be another one
            by its dotted name.
        schedule_arguments: further ones of the schedule.
        head_lr_multiplier: factor of the rate for all layers outside the backbone.
        ema_momentum: decay of the averaged weights that are evaluated and kept as best, or null.
        precision: Keras' dtype policy.
        clip_norm: bound of the gradients' global norm, or null.
        label_smoothing, class_weights, top_k_fraction: of the cross-entropy.
        losses: of the logits, added up with their weights; by default the cross-entropy alone.
        metrics: of the training images, beside mean IoU and pixel accuracy.
        callbacks: Keras callbacks by dotted name, with `arguments`; they run in their order, after
            validation, before the log is written.
        auxiliary_weight, presence_weight: factors of the losses beside the main one, where a model
            has them.
        center_weight, offset_weight: factors of the losses on centres of things and on offsets to
            them, in panoptic models.
        center_sigma: of the Gaussians that stand for centres, in pixels of the crop.
        best_score: validation score whose highest value `best.keras` keeps: `mean_iou`,
            `pixel_accuracy`, `mean_accuracy`, `mean_precision`, `mean_f1` (Dice),
            `frequency_weighted_iou`, in panoptic runs `panoptic_quality`, or `iou`, `f1`,
            `precision` or `accuracy` of a class, as in `iou.road`.
        early_stopping: ends the run once a validation score stops rising, or null. The schedule is
            laid out over all epochs, so the rate may still be high.
        seed: of weights, order and augmentation.
        validate_every: epochs between two validations; the last epoch always validates.
        overlay_images: validation images drawn in TensorBoard.
        jit_compile: XLA; far slower on CPU.
        steps_per_execution: steps per call into the graph.
        strategy, communication: devices and machines, and how they sum gradients; see
            `create_strategy`.
        accumulate_steps: pieces that a batch is cut into, one after another, for one update: less
            memory, the same batch size.
        sync_batch_norm: batch statistics over all replicas rather than each one's own.
        lr_multipliers: factors of the rate by prefix of a variable's path, its layer's name first;
            the longest prefix wins. Beside, or instead of, `head_lr_multiplier`.
        save_every_steps, save_every_minutes: also save inside an epoch, so often, and before each
            validation; null saves at the end of each epoch only.
        keep_checkpoints: how many states to go on from are kept, the newest included; one that
            turns out damaged is passed over for the one before it.
    """

    batch_size: Count = 8
    epochs: Count = 30
    steps: Count | None = None
    steps_per_epoch: Count | None = None
    optimizer: Literal["sgd", "adamw"] | DottedName = "sgd"
    optimizer_arguments: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: Positive = 0.01
    schedule: Literal["poly", "constant"] | DottedName = "poly"
    schedule_arguments: Mapping[str, Any] = field(default_factory=dict)
    poly_power: Positive = 0.9
    warmup_steps: Annotated[int, at_least(0)] = 0
    momentum: Annotated[float, SHARE_BELOW_1] = 0.9
    weight_decay: Factor = 1e-4
    head_lr_multiplier: Factor = 1.0
    ema_momentum: Annotated[float, SHARE_BELOW_1] | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    clip_norm: Positive | None = None
    label_smoothing: Annotated[float, SHARE_BELOW_1] = 0.0
    class_weights: Annotated[tuple[float, ...], CLASS_WEIGHTS] | None = None
    top_k_fraction: Annotated[float, between(1e-4, 1)] = 1.0
    losses: tuple[LossConfig, ...] = ()
    metrics: tuple[MetricConfig, ...] = ()
    callbacks: tuple[Named, ...] = ()
    auxiliary_weight: Factor = 0.4
    presence_weight: Factor = 0.2
    center_weight: Factor = 200.0
    offset_weight: Factor = 0.01
    center_sigma: Positive = 8.0
    best_score: str = "mean_iou"
    early_stopping: EarlyStoppingConfig | None = None
    seed: Annotated[int, between(0, 2**32 - 1)] = 0
    validate_every: Count = 1
    overlay_images: Annotated[int, at_least(0)] = 4
    jit_compile: bool = False
    steps_per_execution: Count = 1
    strategy: StrategyName = "auto"
    communication: Communication = "auto"
    accumulate_steps: Count = 1
    sync_batch_norm: bool = False
    lr_multipliers: Mapping[str, Any] = field(default_factory=dict)
    save_every_steps: Count | None = None
    save_every_minutes: Positive | None = None
    keep_checkpoints: Count = 2

    def __post_init__(self):
        check_limits(self, "training", ConfigError)
        for prefix, factor in self.lr_multipliers.items():
            number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
            require(number and factor >= 0, f"training.lr_multipliers.{prefix}",
                    "a number of at least 0", factor, ConfigError)  # fmt: skip
        parts = self.accumulate_steps
        require(self.batch_size % parts == 0, "training.batch_size",
                f"a multiple of the {parts} training.accumulate_steps", self.batch_size,
                ConfigError)  # fmt: skip
        if self.jit_compile:
            on_one = self.strategy not in ("mirrored", "multi_worker")
            require(on_one, "training.strategy",
                    "one_device or tpu with training.jit_compile (XLA)", self.strategy,
                    ConfigError)  # fmt: skip


@dataclass(frozen=True)
class EvaluationConfig:
    """How `ctxseg evaluate` and the validation in training score.

    Args:
        split: split that `ctxseg evaluate` reads; null takes `data.validation_split`.
        batch_size: images of one size, or windows, that go through the network together.
        report_images: worst and best images shown in the report, each.
        block: images in a row that intervals draw together: for frames of a video, as many as stay
            alike, and at most half of the split.
        protocol: a published way to evaluate, see `keras_ctxseg.evaluation.named_protocol`;
            `encnet` takes the training crop for its window. The validation in training does
            without scales and mirror images.
        scales, flip, average, window, stride, blend, pad_to_window: fields of
            `keras_ctxseg.evaluation.Protocol`; null is what the protocol says, which by default
            is the whole image once.
    """

    split: str | None = None
    batch_size: Count = 8
    report_images: Annotated[int, at_least(0)] = 6
    block: Count = 1
    protocol: ProtocolName = "whole_image"
    scales: Annotated[tuple[float, ...], SCALES] | None = None
    flip: bool | None = None
    average: Average | None = None
    window: Annotated[tuple[int, int], sides(1)] | None = None
    stride: Annotated[tuple[int, int], sides(1)] | None = None
    blend: Blend | None = None
    pad_to_window: bool | None = None

    def __post_init__(self):
        check_limits(self, "evaluation", ConfigError)


@dataclass(frozen=True)
class ExportConfig:
    """Where and how `ctxseg export` writes.

    Args:
        directory: folder that holds `<name>/<version>/`.
        check_images: validation images on which the SavedModel is compared with Keras.
        litert: write LiteRT files beside the SavedModel.
        onnx: write an ONNX file beside the SavedModel; needs the extra `onnx`.
        input_size: height and width of LiteRT and ONNX files' input, after `data.image_scale`; null
            takes the training crop.
        litert_forms: which LiteRT files, a file each: `fp32`, `fp16`, `dynamic` (int8 weights),
            `int8` (float images and logits), `full_int8` (uint8 images, class ids).
        litert_labels: LiteRT and ONNX files put out class ids rather than logits; `full_int8`
            always does.
        calibration_images: training images whose activations tell the ranges of the integers.
        litert_check_images: validation images on which LiteRT and ONNX files are compared with
            Keras.
        precision: of the SavedModel: `float32`, or `mixed_bfloat16` for processors that have it.
        warm_up: requests that a server runs before it serves a version.
    """

    directory: str = "saved_models"
    check_images: Count = 32
    litert: bool = False
    onnx: bool = False
    input_size: Annotated[tuple[int, int], sides(33)] | None = None
    litert_forms: Annotated[tuple[LitertFormName, ...], FORMS] = ("fp32",)
    litert_labels: bool = False
    calibration_images: Annotated[int, at_least(32)] = 64
    litert_check_images: Count = 32
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    warm_up: Annotated[int, between(0, 1000, "0 to 1000 requests")] = 4

    def __post_init__(self):
        check_limits(self, "export", ConfigError)


@dataclass(frozen=True)
class RunConfig:
    """One training run. It lives in `<output_dir>/<name>/`, which `directory` gives.

    Args:
        name: of the run and its folder.
        model, data, augmentation, training, evaluation, export, panoptic: the sections.
        output_dir: the folder of the run's folder.
        imports: modules (`my_package.my_family`) and `.py` files (relative to the recipe) that are
            imported before anything is built, and again by whoever evaluates, predicts with or
            exports the run. They run as code: import what you trust.
    """

    name: Annotated[str, FOLDER_NAME]
    model: ModelConfig
    data: DataConfig
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    panoptic: GroupingOptions = field(default_factory=GroupingOptions)
    output_dir: str = "runs"
    imports: tuple[str, ...] = ()

    def __post_init__(self):
        check_limits(self, error=ConfigError)

    @property
    def directory(self) -> Path:
        return Path(self.output_dir) / self.name
