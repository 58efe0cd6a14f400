"""The graph that is served: encoded or float images in, class ids and scores out."""

import keras
import tensorflow as tf

from keras_ctxseg.data.resampling import scaled_size
from keras_ctxseg.export.decoding import decode_image
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE


class ServingModule(tf.Module):
    """A segmentation model with the signatures of a served SavedModel.

    Args:
        model: functional Keras model, float RGB images (batch, height, width, 3) in 0..255 to a
            dict with `"logits"`, (batch, height, width, classes), of any height and width.
        ignore_label: what `labels` holds outside an image, where a batch has mixed sizes.
        image_scale: the factor by which the model's images were scaled in training; every image
            is scaled by it on the way in, and its logits are scaled back to the image's own size.
    """

    def __init__(self, model: keras.Model, ignore_label: int = 255, image_scale: float = 1.0):
        super().__init__(name="keras_ctxseg_serving")
        self._ignore_label = ignore_label
        self._image_scale = image_scale
        # The variables alone are tracked: the saved object then holds no Keras layer, and loads
        # wherever TensorFlow does.
        self._model_variables = [variable.value for variable in model.variables]
        self._forward = lambda images: model(images, training=False)["logits"]

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The concrete functions by signature name, as `tf.saved_model.save` takes them."""
        return {
            "serving_default": self.segment_files.get_concrete_function(),
            "float_images": self.segment_floats.get_concrete_function(),
        }

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.string, name="images")], autograph=False
    )
    def segment_files(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments JPEG or PNG files, each at its own size, whatever else is in the batch.

        Args:
            images: string (batch,), the files' bytes.

        Returns:
            `labels` int32 and `scores` float32, (batch, largest height, largest width): class ids
            and their softmax, padded at the bottom and right with the ignore label and 0;
            `sizes` int32 (batch, 2): each image's height and width.
        """
        count = tf.shape(images)[0]
        some = tf.debugging.Assert(
            count > 0, ["images: expected at least one file. Received an empty batch."]
        )
        with tf.control_dependencies([some]):
            count = tf.identity(count)

        def segment_next(index, labels, scores, sizes):
            image = decode_image(images[index], index)
            label_map, score_map = _labels_and_scores(
                self._logits(tf.cast(image[tf.newaxis], tf.float32))[0]
            )
            return (
                index + 1,
                labels.write(index, label_map),
                scores.write(index, score_map),
                sizes.write(index, tf.shape(image)[:2]),
            )

        def array(dtype, element_shape):
            return tf.TensorArray(dtype, count, infer_shape=False, element_shape=element_shape)

        # One image after the other: memory stays that of a single image, and a result never
        # depends on its neighbours in the batch.
        _, labels, scores, sizes = tf.while_loop(
            lambda index, *_: index < count,
            segment_next,
            (
                0,
                array(tf.int32, (None, None)),
                array(tf.float32, (None, None)),
                array(tf.int32, (2,)),
            ),
            parallel_iterations=1,
        )
        sizes = sizes.stack()
        return {
            "labels": _pad_and_stack(labels, sizes, self._ignore_label),
            "scores": _pad_and_stack(scores, sizes, 0.0),
            "sizes": sizes,
        }

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="images")],
        autograph=False,
    )
    def segment_floats(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments decoded images of one size.

        Args:
            images: float32 (batch, height, width, 3), RGB in 0..255.

        Returns:
            `logits` float32 (batch, height, width, classes) and `labels` int32
            (batch, height, width).
        """
        logits = self._logits(images)
        return {"logits": logits, "labels": tf.argmax(logits, axis=-1, output_type=tf.int32)}

    def _logits(self, images: tf.Tensor) -> tf.Tensor:
        size = tf.shape(images)[1:3]
        inputs = images
        if self._image_scale != 1.0:
            inputs = tf.image.resize(images, scaled_size(size, self._image_scale))
        input_size = tf.shape(inputs)[1:3]
        large_enough = tf.debugging.Assert(
            tf.reduce_all(input_size >= MINIMUM_SIZE),
            [
                f"images: expected at least {MINIMUM_SIZE} pixels a side after scaling by"
                + f" {self._image_scale:g}. Received [height width]",
                size,
            ],
        )
        with tf.control_dependencies([large_enough]):
            logits = self._forward(tf.identity(inputs))
        if self._image_scale != 1.0:
            logits = tf.image.resize(logits, size)
        return logits


def _labels_and_scores(logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    labels = tf.argmax(logits, axis=-1, output_type=tf.int32)
    # The largest softmax, without the other classes' ones.
    scores = tf.exp(tf.reduce_max(logits, axis=-1) - tf.reduce_logsumexp(logits, axis=-1))
    return labels, scores


def _pad_and_stack(maps: tf.TensorArray, sizes: tf.Tensor, value: float) -> tf.Tensor:
    largest = tf.reduce_max(sizes, axis=0)

    def padded(index):
        missing = largest - sizes[index]
        paddings = tf.stack([tf.zeros_like(missing), missing], axis=1)
        return tf.pad(maps.read(index), paddings, constant_values=value)

    return tf.map_fn(padded, tf.range(tf.shape(sizes)[0]), fn_output_signature=maps.dtype)
