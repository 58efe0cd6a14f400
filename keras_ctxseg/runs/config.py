"""The configuration of a run: what a YAML recipe may say, its types and its defaults.

Imports neither Keras nor TensorFlow, so that a wrong key is reported at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from keras_ctxseg._named import Named
from keras_ctxseg._options import DottedName
from keras_ctxseg.data.augmentation_config import AugmentationConfig
from keras_ctxseg.inference.protocol import Average, Blend, ProtocolName
from keras_ctxseg.panoptic.options import GroupingOptions


class ConfigError(ValueError):
    """A recipe that cannot be read; the message names the file, the key and what was expected."""


def _require(condition: bool, key: str, expected: str, value: Any) -> None:
    if not condition:
        raise ConfigError(f"`{key}`: expected {expected}. Received: {value!r}")


@dataclass(frozen=True)
class LossConfig(Named):
    """One of the losses that are added up.

    Args:
        name: `crossentropy`, with the section's `class_weights`, `label_smoothing` and
            `top_k_fraction`; or another one by its dotted name.
        arguments: of the loss. It also gets `ignore_label` and `num_classes`, if it has parameters
            of these names.
        weight: factor of the loss.
        output: the model's output that it is about; null is `logits`, and `aux_logits` where the
            model has them.
    """

    name: Literal["crossentropy"] | DottedName
    weight: float = 1.0
    output: str | None = None

    def __post_init__(self):
        _require(self.weight >= 0, "training.losses.weight", "at least 0", self.weight)


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


StrategyName = Literal["auto", "one_device", "mirrored", "multi_worker", "tpu"]
Communication = Literal["auto", "nccl", "ring", "hierarchical"]
LitertFormName = Literal["fp32", "fp16", "dynamic", "int8", "full_int8"]


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
    num_classes: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str | None = None

    def __post_init__(self):
        if self.num_classes is not None:
            _require(self.num_classes >= 2, "model.num_classes", "at least 2", self.num_classes)


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
    image_scale: float = 1.0
    cache: Literal["auto"] | bool = "auto"
    check: Literal["sample", "full", "off"] | bool = "sample"  # YAML reads a plain `off` as false

    def __post_init__(self):
        _require(self.check is not True, "data.check", "sample, full or off", self.check)
        _require(0 < self.image_scale <= 4, "data.image_scale", "0 < scale <= 4", self.image_scale)


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

    batch_size: int = 8
    epochs: int = 30
    steps: int | None = None
    steps_per_epoch: int | None = None
    optimizer: Literal["sgd", "adamw"] | DottedName = "sgd"
    optimizer_arguments: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 0.01
    schedule: Literal["poly", "constant"] | DottedName = "poly"
    schedule_arguments: Mapping[str, Any] = field(default_factory=dict)
    poly_power: float = 0.9
    warmup_steps: int = 0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    head_lr_multiplier: float = 1.0
    ema_momentum: float | None = None
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    top_k_fraction: float = 1.0
    losses: tuple[LossConfig, ...] = ()
    metrics: tuple[MetricConfig, ...] = ()
    callbacks: tuple[Named, ...] = ()
    auxiliary_weight: float = 0.4
    presence_weight: float = 0.2
    center_weight: float = 200.0
    offset_weight: float = 0.01
    center_sigma: float = 8.0
    seed: int = 0
    validate_every: int = 1
    overlay_images: int = 4
    jit_compile: bool = False
    steps_per_execution: int = 1
    strategy: StrategyName = "auto"
    communication: Communication = "auto"
    accumulate_steps: int = 1
    sync_batch_norm: bool = False
    lr_multipliers: Mapping[str, Any] = field(default_factory=dict)
    save_every_steps: int | None = None
    save_every_minutes: float | None = None
    keep_checkpoints: int = 2

    def __post_init__(self):
        for name in ("batch_size", "epochs", "steps", "steps_per_epoch", "validate_every",
                     "steps_per_execution", "save_every_steps", "keep_checkpoints",
                     "accumulate_steps"):  # fmt: skip
            value = getattr(self, name)
            _require(value is None or value >= 1, f"training.{name}", "at least 1", value)
        for name in ("learning_rate", "poly_power", "clip_norm", "save_every_minutes",
                     "center_sigma"):  # fmt: skip
            value = getattr(self, name)
            _require(value is None or value > 0, f"training.{name}", "a number above 0", value)
        for name in ("weight_decay", "head_lr_multiplier", "auxiliary_weight", "presence_weight",
                     "center_weight", "offset_weight", "warmup_steps",
                     "overlay_images"):  # fmt: skip
            value = getattr(self, name)
            _require(value >= 0, f"training.{name}", "at least 0", value)
        for name in ("momentum", "ema_momentum", "label_smoothing"):
            value = getattr(self, name)
            _require(value is None or 0 <= value < 1, f"training.{name}", "0 <= value < 1", value)
        for prefix, factor in self.lr_multipliers.items():
            number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
            key = f"training.lr_multipliers.{prefix}"
            _require(number and factor >= 0, key, "a number of at least 0", factor)
        if self.jit_compile:
            on_one = self.strategy not in ("mirrored", "multi_worker")
            expected = "one_device or tpu with training.jit_compile (XLA)"
            _require(on_one, "training.strategy", expected, self.strategy)
        parts = self.accumulate_steps
        expected = f"a multiple of the {parts} training.accumulate_steps"
        _require(self.batch_size % parts == 0, "training.batch_size", expected, self.batch_size)
        fraction = self.top_k_fraction
        _require(1e-4 <= fraction <= 1, "training.top_k_fraction", "0.0001 to 1", fraction)


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
    batch_size: int = 8
    report_images: int = 6
    block: int = 1
    protocol: ProtocolName = "whole_image"
    scales: tuple[float, ...] | None = None
    flip: bool | None = None
    average: Average | None = None
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    blend: Blend | None = None
    pad_to_window: bool | None = None

    def __post_init__(self):
        _require(self.batch_size >= 1, "evaluation.batch_size", "at least 1", self.batch_size)
        _require(self.block >= 1, "evaluation.block", "at least 1", self.block)
        scales = self.scales
        _require(
            scales is None or (len(scales) > 0 and all(0 < scale <= 8 for scale in scales)),
            "evaluation.scales", "one factor or more, each above 0 and at most 8", scales,
        )  # fmt: skip
        for name in ("window", "stride"):
            sides = getattr(self, name)
            _require(sides is None or min(sides) >= 1, f"evaluation.{name}",
                     "height and width in pixels", sides)  # fmt: skip
        _require(
            self.report_images >= 0, "evaluation.report_images", "at least 0", self.report_images
        )


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
    check_images: int = 32
    litert: bool = False
    onnx: bool = False
    input_size: tuple[int, int] | None = None
    litert_forms: tuple[LitertFormName, ...] = ("fp32",)
    litert_labels: bool = False
    calibration_images: int = 64
    litert_check_images: int = 32
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    warm_up: int = 4

    def __post_init__(self):
        if self.input_size is not None:
            _require(min(self.input_size) >= 33, "export.input_size", "sides of at least 33 pixels",
                     self.input_size)  # fmt: skip
        forms, count = self.litert_forms, self.calibration_images
        expected = "at least one form, each once"
        _require(0 < len(forms) == len(set(forms)), "export.litert_forms", expected, forms)
        _require(count >= 32, "export.calibration_images", "at least 32", count)
        for key in ("check_images", "litert_check_images"):
            checks = getattr(self, key)
            _require(checks >= 1, f"export.{key}", "at least 1", checks)
        requests = self.warm_up
        _require(0 <= requests <= 1000, "export.warm_up", "0 to 1000 requests", requests)


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

    name: str
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
        _require(
            self.name not in ("", ".", "..") and "/" not in self.name,
            "name", "a folder name without '/'", self.name,
        )  # fmt: skip

    @property
    def directory(self) -> Path:
        return Path(self.output_dir) / self.name
