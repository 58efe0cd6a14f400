"""tf-models' DeepLabv3+ in each form that can be measured, exported by its own tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_ctxseg.benchmark.subject import Subject

# For each form of our models, the forms of this peer that are measured beside it. `network` is its
# export without its preprocessing.
FORMS = {"saved_model": ("saved_model", "network"), "training": ("training",)}
# Options that the peer takes over from our model, unless it has its own.
SHARED_OPTIONS = ("stem", "output_stride")
_OPTIONS = ("depth", "output_stride", "stem")
# Its export by the kind of input: encoded as uint8 and prepared inside (normalised, resized to the
# size it was exported for), or ready for the network.
_INPUTS = {"saved_model": ("image_tensor", "uint8"), "network": ("tflite", "float32")}


def prepare(subject: Subject, folder: Path) -> tuple[Callable, dict]:
    """A call that runs the subject once, and its facts; see `benchmark.own_models.prepare`."""
    for key in subject.options:
        if key not in _OPTIONS:
            raise ValueError(f"`--against tf-models`: expected options among {_OPTIONS}. "
                             f"Received: {key!r}")  # fmt: skip
    options = {"stem": "7x7", **subject.options}
    try:
        import tf_keras
        from official.vision.serving import export_saved_model_lib
    except ImportError as error:
        raise ImportError(
            f"tf-models is not installed (pip install tf-models-official): {error}"
        ) from error
    import tensorflow as tf

    from keras_ctxseg.benchmark.own_models import kept, loaded, training_step

    if subject.form == "training":
        model = tf_models_deeplabv3plus(subject.size, subject.num_classes, **options)
        optimizer = tf_keras.optimizers.SGD(1e-3, momentum=0.9)
        facts = _facts(subject, options)
        return training_step(_Logits(model), subject, optimizer), facts
    kind, dtype = _INPUTS[subject.form]
    exported = subject.exported(folder)
    assert exported is not None

    def export() -> dict:
        export_saved_model_lib.export_inference_graph(
            input_type=kind,
            batch_size=1,
            input_image_size=list(subject.size),
            params=_experiment(subject, **options),
            checkpoint_path=None,
            export_dir=str(exported),
        )
        return _facts(subject, options)

    facts = kept(exported, export)
    return loaded(exported, "serving_default", subject, tf.dtypes.as_dtype(dtype)), facts


def _facts(subject: Subject, options: dict) -> dict:
    from keras_ctxseg.benchmark.own_models import versions
    from keras_ctxseg.costs.multiply_adds import count_multiply_adds, trainable_parameters

    model = tf_models_deeplabv3plus(subject.size, subject.num_classes, **options)
    counted = count_multiply_adds(model, subject.size).total
    return {
        "parameters": trainable_parameters(model),
        "multiply_adds": counted,
        "multiply_adds_run": counted,
        "versions": versions("tensorflow", "tf-models-official", "tf_keras"),
    }


def _experiment(subject: Subject, depth: int = 50, output_stride: int = 16, stem: str = "7x7"):
    """Its own experiment `seg_deeplabv3plus_pascal`, with this depth, stem, stride and ReLU."""
    from official.core import exp_factory
    from official.vision.configs import semantic_segmentation  # noqa: F401 - registers it

    config = exp_factory.get_exp_config("seg_deeplabv3plus_pascal")
    model = config.task.model
    level = {8: 3, 16: 4}[output_stride]
    model.num_classes = subject.num_classes
    model.backbone.dilated_resnet.model_id = depth
    model.backbone.dilated_resnet.output_stride = output_stride
    model.backbone.dilated_resnet.stem_type = {"7x7": "v0", "deep": "v1"}[stem]
    model.decoder.aspp.level = model.head.level = level
    model.decoder.aspp.dilation_rates = {8: [12, 24, 36], 16: [6, 12, 18]}[output_stride]
    # This package's models have ReLU; swish would cost more.
    model.norm_activation.activation = "relu"
    return config


class _Logits:
    """A network as a dict, as this package's models answer."""

    def __init__(self, network):
        self._network = network
        self.trainable_variables = network.trainable_weights

    def __call__(self, images, training=False):
        return {"logits": self._network(images, training=training)}


def tf_models_deeplabv3plus(
    input_size: tuple[int, int],
    num_classes: int = 21,
    depth: int = 50,
    output_stride: int = 16,
    stem: str = "deep",
) -> Callable:
    """tf-models' DeepLabv3+ on a dilated ResNet, with random weights.

    The parts and their sizes are those of its experiment `seg_deeplabv3plus_pascal`, with ReLU in
    place of swish, as here. Its logits, at stride 4, are resized to the image's size, as its own
    serving module does; images are taken as normalised already.

    Args:
        input_size: height and width of the images.
        num_classes: channels of the logits.
        depth: of the ResNet.
        output_stride: 8 or 16.
        stem: `"7x7"`, or `"deep"` for three 3x3 convolutions.

    Returns:
        A function `(images, training) -> logits` (batch, height, width, num_classes) with the
        model's `trainable_weights`.
    """
    import tensorflow as tf
    import tf_keras
    from official.vision.modeling import segmentation_model
    from official.vision.modeling.backbones import resnet_deeplab
    from official.vision.modeling.decoders import aspp
    from official.vision.modeling.heads import segmentation_heads

    height, width = input_size
    level = {8: 3, 16: 4}[output_stride]
    rates = {8: [12, 24, 36], 16: [6, 12, 18]}[output_stride]
    model = segmentation_model.SegmentationModel(
        backbone=resnet_deeplab.DilatedResNet(
            depth,
            output_stride,
            input_specs=tf_keras.layers.InputSpec(shape=[None, height, width, 3]),
            stem_type={"7x7": "v0", "deep": "v1"}[stem],
            multigrid=(1, 2, 4),
        ),
        decoder=aspp.ASPP(level=level, dilation_rates=rates),
        head=segmentation_heads.SegmentationHead(
            num_classes,
            level=level,
            num_convs=2,
            feature_fusion="deeplabv3plus",
            low_level=2,
            low_level_num_filters=48,
        ),
    )
    model(tf.zeros((1, height, width, 3)), training=False)
    return _ResizedLogits(model, input_size)


class _ResizedLogits:
    def __init__(self, model, input_size: tuple[int, int]):
        self._model = model
        self._input_size = input_size
        self.trainable_weights = model.trainable_weights

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        import tensorflow as tf

        logits = self._model(images, training=training)["logits"]
        return tf.image.resize(logits, self._input_size)
