"""The Keras model that every family is built as."""

import functools

import keras

from keras_ctxseg.labels.panoptic import INSTANCE_OUTPUTS, class_ids, is_panoptic
from keras_ctxseg.models.replicated import ReplicatedTraining

MINIMUM_SIZE = 33


def image_channels(model: keras.Model) -> int:
    """Returns the number of channels of the images that a model takes; 3 are RGB."""
    return model.inputs[0].shape[-1]


def check_image_size(shape, argument: str) -> None:
    """Raises a `ValueError` if a static `(..., height, width, channels)` is too small."""
    height, width = shape[-3:-1]
    if any(size is not None and size < MINIMUM_SIZE for size in (height, width)):
        raise ValueError(
            f"`{argument}` must be images of at least {MINIMUM_SIZE} pixels in height and width. "
            f"Received: height={height}, width={width}"
        )


@keras.saving.register_keras_serializable("keras_ctxseg")
class SegmentationModel(ReplicatedTraining, keras.Model):
    """A functional model from images to a dict of logits, trained from one label map.

    In `fit` and `evaluate` a data set yields `(images, labels)` or `(images, labels, weights)`;
    every output that has a loss or a metric gets the same labels, `(batch, height, width)` class
    ids. Where the model puts out centres of things, labels may be panoptic label maps, class +
    1024 · instance; those outputs get them whole, the others the classes.

    Call arguments:
        images: `(batch, height, width, channels)`, float, RGB in 0...255, at least 33 pixels on
            each side.

    Call returns:
        A dict with `logits` `(batch, height, width, num_classes)`, float32, and what else the
        family puts out.
    """

    @property
    def num_classes(self) -> int:
        """Number of classes that `logits` tells apart."""
        return self.output["logits"].shape[-1]

    def call(self, inputs, training=None, mask=None):
        check_image_size(inputs.shape, "images")
        return super().call(inputs, training=training, mask=mask)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        self._build_before_training()
        return super().fit(*args, **kwargs)

    def train_on_batch(self, *args, **kwargs):
        self._build_before_training()
        return super().train_on_batch(*args, **kwargs)

    def _build_before_training(self):
        """Makes the variables of optimizer, losses and metrics.

        Keras on TensorFlow makes them inside the training step, which is then traced a second
        time: half of what a large network takes before its first step. In a strategy's scope Keras,
        too, makes them before.
        """
        if not self.compiled or getattr(self, "_distribute_strategy", None) is not None:
            return
        labels = keras.KerasTensor((None, None, None), "int32")
        labels = dict.fromkeys(self.output, labels)
        for part in (self._compile_loss, self._compile_metrics):
            if part is not None and not part.built:
                part.build(labels, self.output)
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return super().compute_loss(
            x,
            _labels_for_each_output(y, y_pred),
            y_pred,
            _for_each_output(sample_weight, y_pred),
            training,
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        return super().compute_metrics(
            x, _labels_for_each_output(y, y_pred), y_pred, _for_each_output(sample_weight, y_pred)
        )


def _labels_for_each_output(labels, y_pred):
    labels = _for_each_output(labels, y_pred)
    if labels is None or not is_panoptic(y_pred):
        return labels
    return {
        name: value if name in INSTANCE_OUTPUTS else class_ids(keras.ops.cast(value, "int32"))
        for name, value in labels.items()
    }


def _for_each_output(value, y_pred):
    if value is None:
        return None
    if isinstance(value, dict):
        return {name: _without_channel(part) for name, part in value.items()}
    return dict.fromkeys(y_pred, _without_channel(value))


def _without_channel(value):
    """Label maps and weights of (batch, height, width, 1) as (batch, height, width)."""
    try:
        shape = tuple(value.shape)
    except (AttributeError, TypeError, ValueError):  # no array, or of unknown rank
        return value
    return keras.ops.squeeze(value, -1) if len(shape) == 4 and shape[-1] == 1 else value


@keras.saving.register_keras_serializable("keras_ctxseg")
class ClassificationModel(keras.Model):
    """A functional model from images to a dict with one output, trained from one label an image.

    Call arguments:
        images: `(batch, height, width, 3)`, float, RGB in 0...255.

    Call returns:
        A dict with `logits` `(batch, num_classes)`, float32.
    """

    @property
    def num_classes(self) -> int:
        """Number of classes that `logits` tells apart."""
        return self.output["logits"].shape[-1]
