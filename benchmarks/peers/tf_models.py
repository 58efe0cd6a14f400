"""tf-models' DeepLabv3+ in each form that can be measured, exported by its own tools."""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from keras_ctxseg.benchmark.own_models import kept, loaded, training_step, versions
from keras_ctxseg.benchmark.peers import tf_models_deeplabv3plus
from keras_ctxseg.benchmark.subject import Subject
from keras_ctxseg.costs.multiply_adds import count_multiply_adds, trainable_parameters

_OPTIONS = ("depth", "output_stride", "stem")
# Its export by the kind of input: encoded as uint8 and prepared inside (normalised, resized to the
# size it was exported for), or ready for the network.
_INPUTS = {"saved_model": ("image_tensor", tf.uint8), "network": ("tflite", tf.float32)}


def prepare(subject: Subject, folder: Path) -> tuple[Callable, dict]:
    """As `own_models.prepare`."""
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
    return loaded(exported, "serving_default", subject, dtype), facts


def _facts(subject: Subject, options: dict) -> dict:
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
