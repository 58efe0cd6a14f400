"""The graph that is served: encoded or float images in, class ids and scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import keras
import tensorflow as tf

from keras_ctxseg.data.decoding import turn_upright
from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.data.resampling import scaled_size
from keras_ctxseg.export.graph.freezing import frozen_forward
from keras_ctxseg.export.graph.mixed_precision import in_bfloat16
from keras_ctxseg.export.saved_model.decoding import decode_image, jpeg_orientation, reads_files
from keras_ctxseg.inference.label_bands import Labels, banded_labels
from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.models.coarse_logits import coarse_logits_model
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE, image_channels

MAX_PIXELS = 2**25  # of one encoded image: 8192x4096

ExtraSignatures = Callable[["ServingModule"], Mapping[str, tf.types.experimental.ConcreteFunction]]


class ServingModule(tf.Module):
    """A segmentation model with the signatures of a served SavedModel.

    It holds one frozen graph (`frozen_forward`) that ends before the last upsampling. Labels come
    from it band by band (`banded_labels`), logits by resizing it as a whole. JPEG and PNG files
    are for models of RGB images; other models have float images only.

    Args:
        model: functional Keras model, float images (batch, height, width, channels), RGB in
            0..255 if three, to a dict with `"logits"`, (batch, height, width, classes), of any
            height and width.
        ignore_label: what `labels` holds outside an image, where a batch has mixed sizes.
        image_scale: the factor by which the model's images were scaled in training; every image
            is scaled by it on the way in, and its logits are scaled back to the image's own size.
        class_names: one a class; their numbers where missing.
        precision: `"float32"`, or `"mixed_bfloat16"` for convolutions and products in bfloat16.
        max_pixels: an encoded image of more is refused before its pixels are decoded; a float
            image, whose pixels the client has sent, if it has more than four times as many.
        outputs: the model's outputs beside `"logits"` that `forward` is to give.
        extra: makes further signatures from this module (its `forward`, `coarse_logits`, `answer`).
        reading: bands, range and EXIF orientation of encoded images.

    Attributes:
        forward: the frozen graph, from images at the model's scale to a dict with the coarse
            `"logits"` and `outputs`.
        images: what the signatures with float images take.
    """

    def __init__(
        self,
        model: keras.Model,
        ignore_label: int = IGNORE_LABEL,
        image_scale: float = 1.0,
        class_names: Sequence[str] | None = None,
        *,
        precision: str = "float32",
        max_pixels: int = MAX_PIXELS,
        outputs: Sequence[str] = (),
        extra: ExtraSignatures | None = None,
        reading: ImageReading = PLAIN,
    ):
        super().__init__(name="keras_ctxseg_serving")
        self.images = tf.TensorSpec(
            (None, None, None, image_channels(model)), tf.float32, name="images"
        )
        self.ignore_label = ignore_label
        self.image_scale = image_scale
        self._max_pixels = max_pixels
        self._reading = reading
        coarse = coarse_logits_model(model, outputs)
        self._upsamples = coarse.output["logits"] is not model.output["logits"]
        classes = model.output["logits"].shape[-1]
        self._class_names = list(class_names or map(str, range(classes)))
        self.forward = frozen_forward(coarse)
        if precision != "float32":
            self.forward = in_bfloat16(self.forward)
        self._extra = extra
        self.segment_floats = self._with_images(self._segment_floats)
        self.logits = self._with_images(self._logits_alone)
        self.labels = self._with_images(self._labels_and_scores)

    def _with_images(self, method: Callable) -> tf.types.experimental.PolymorphicFunction:
        return tf.function(method, input_signature=[self.images], autograph=False)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The concrete functions by signature name, as `tf.saved_model.save` takes them."""
        takes_files = self.images.shape[-1] == 3 and reads_files(self._reading)
        default = self.segment_files if takes_files else self.labels
        return {
            "serving_default": default.get_concrete_function(),
            "float_images": self.segment_floats.get_concrete_function(),
            "logits": self.logits.get_concrete_function(),
            "labels": self.labels.get_concrete_function(),
            **(self._extra(self) if self._extra is not None else {}),
        }

    @tf.function(
        input_signature=[tf.TensorSpec((None,), tf.string, name="images")], autograph=False
    )
    def segment_files(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments JPEG or PNG files, each at its own size, whatever else is in the batch.

        The network sees a JPEG file upright, as its EXIF orientation says; the labels have the grid
        of the stored pixels.

        Args:
            images: string (batch,), the files' bytes.

        Returns:
            `labels` int32 and `scores` float32, (batch, largest height, largest width): class ids
            and their softmax, padded at the bottom and right with the ignore label and 0;
            `sizes` int32 (batch, 2): each image's height and width;
            `errors` string (batch,): why there is no answer for an image, or an empty string. Its
            size is then 0x0 and all its labels are the ignore label;
            `class_names` string (batch, classes), the same for each image, as TensorFlow Serving
            asks every output to have the batch's length.
        """
        count = tf.shape(images)[0]
        some = tf.debugging.Assert(
            count > 0, ["images: expected at least one file. Received an empty batch."]
        )
        with tf.control_dependencies([some]):
            count = tf.identity(count)

        def segment_next(index, labels, scores, sizes, errors):
            image, error = decode_image(images[index], self._refuse_size, self._reading)
            orientation = tf.constant(1)
            if self._reading.exif == "upright":
                orientation = jpeg_orientation(images[index])
            found = tf.cond(
                tf.equal(error, ""),
                lambda: self._labels_as_stored(image, orientation),
                lambda: Labels(tf.zeros((0, 0), tf.int32), tf.zeros((0, 0), tf.float32)),
            )
            return (
                index + 1,
                labels.write(index, found.labels),
                scores.write(index, found.scores),
                sizes.write(index, tf.shape(image)[:2]),
                errors.write(index, error),
            )

        def array(dtype, element_shape):
            return tf.TensorArray(dtype, count, infer_shape=False, element_shape=element_shape)

        # One image after the other: memory stays that of a single image, and a result never
        # depends on its neighbours in the batch.
        _, labels, scores, sizes, errors = tf.while_loop(
            lambda index, *_: index < count,
            segment_next,
            (
                0,
                array(tf.int32, (None, None)),
                array(tf.float32, (None, None)),
                array(tf.int32, (2,)),
                array(tf.string, ()),
            ),
            parallel_iterations=1,
        )
        sizes = sizes.stack()
        return {
            "labels": _pad_and_stack(labels, sizes, self.ignore_label),
            "scores": _pad_and_stack(scores, sizes, 0.0),
            "sizes": sizes,
            "errors": errors.stack(),
            "class_names": tf.tile(tf.constant([self._class_names]), [count, 1]),
        }

    def _segment_floats(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Segments decoded images of one size.

        Args:
            images: float32 (batch, height, width, channels), RGB in 0..255.

        Returns:
            `logits` float32 (batch, height, width, classes) and `labels` int32
            (batch, height, width).
        """
        logits = self._logits(images)
        return {"logits": logits, "labels": tf.argmax(logits, axis=-1, output_type=tf.int32)}

    def _logits_alone(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `segment_floats`, `logits` alone."""
        return {"logits": self._logits(images)}

    def _labels_and_scores(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `segment_floats`, `labels` and `scores` alone, in the memory of a few rows' logits."""
        found = self._labels(images)
        return {"labels": found.labels, "scores": found.scores}

    def coarse_logits(self, images: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Logits before the last upsampling, and the sizes that they are to be resized to in turn.

        Args:
            images: float32 (batch, height, width, channels) at their own size.
        """
        inputs = self.network_inputs(images)
        coarse = self.forward(inputs)["logits"]
        sizes = [tf.shape(inputs)[1:3]] if self._upsamples else []
        if self.image_scale != 1.0:
            sizes.append(tf.shape(images)[1:3])
        return coarse, sizes

    def network_inputs(self, images: tf.Tensor) -> tf.Tensor:
        """Images at the model's scale, float32, once their size and numbers are found to be right.

        Args:
            images: float32 (batch, height, width, channels) at their own size.
        """
        size = tf.shape(images)[1:3]
        # In this order: nothing is computed from images that are too large.
        most = 4 * self._max_pixels
        small_enough = tf.debugging.Assert(
            tf.reduce_prod(tf.cast(size, tf.float64)) <= most,
            [f"images: expected at most {most} pixels each. Received [height width]", size],
        )
        large_enough = tf.debugging.Assert(
            tf.reduce_all(scaled_size(size, self.image_scale) >= MINIMUM_SIZE),
            [
                f"images: expected at least {MINIMUM_SIZE} pixels a side after scaling by"
                + f" {self.image_scale:g}. Received [height width]",
                size,
            ],
        )
        with tf.control_dependencies([small_enough, large_enough]):
            total = tf.reduce_sum(images)  # Finite if all are, unless they are absurd; no memory.
        finite = tf.debugging.Assert(
            tf.math.is_finite(total),
            ["images: expected finite numbers. Received NaN, infinity or numbers close to it."],
        )
        with tf.control_dependencies([finite]):
            images = tf.identity(images)
        if self.image_scale == 1.0:
            return images
        return tf.image.resize(images, scaled_size(size, self.image_scale))

    def _logits(self, images: tf.Tensor) -> tf.Tensor:
        logits, sizes = self.coarse_logits(images)
        for size in sizes:
            logits = tf.image.resize(logits, size)
        return logits

    def _labels(self, images: tf.Tensor) -> Labels:
        return banded_labels(*self.coarse_logits(images))

    def _labels_as_stored(self, image: tf.Tensor, orientation: tf.Tensor) -> Labels:
        """Labels of an image that the network sees upright, on the grid of its stored pixels."""
        found = self._labels_of_one(turn_upright(image, orientation))
        back = tf.gather([1, 1, 2, 3, 4, 5, 8, 7, 6], orientation)
        turned = [
            turn_upright(tf.ensure_shape(each[..., None], (None, None, 1)), back)[..., 0]
            for each in found
        ]
        return Labels(*turned)

    def _labels_of_one(self, image: tf.Tensor) -> Labels:
        found = self._labels(tf.cast(image[tf.newaxis], tf.float32))
        return Labels(found.labels[0], found.scores[0])

    def _refuse_size(self, size: tf.Tensor) -> tf.Tensor:
        """Why an encoded image of this size, (2,) int64, is not decoded; an empty string if it is.

        Without the decoding, a file of a few bytes that claims a huge picture costs nothing.
        """
        claimed = tf.strings.reduce_join(tf.strings.as_string(size), separator="x")
        too_large = tf.strings.join(
            [f"expected at most {self._max_pixels} pixels, received ", claimed]
        )
        too_small = tf.strings.join(
            [
                f"expected at least {MINIMUM_SIZE} pixels a side after scaling by"
                f" {self.image_scale:g}, received ",
                claimed,
            ]
        )
        scaled = scaled_size(size, self.image_scale)
        # Sides are below 2^32, and the product of two such may not be held by an int64.
        pixels = tf.reduce_prod(tf.cast(size, tf.float64))
        return tf.where(
            pixels > self._max_pixels,
            too_large,
            tf.where(tf.reduce_any(scaled < MINIMUM_SIZE), too_small, ""),
        )


def _pad_and_stack(maps: tf.TensorArray, sizes: tf.Tensor, value: float) -> tf.Tensor:
    largest = tf.reduce_max(sizes, axis=0)

    def padded(index):
        missing = largest - sizes[index]
        paddings = tf.stack([tf.zeros_like(missing), missing], axis=1)
        return tf.pad(maps.read(index), paddings, constant_values=value)

    return tf.map_fn(padded, tf.range(tf.shape(sizes)[0]), fn_output_signature=maps.dtype)
