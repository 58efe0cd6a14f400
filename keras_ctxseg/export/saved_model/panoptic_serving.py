"""The signature `panoptic`: images in, segments out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_ctxseg.data.resampling import scaled_size
from keras_ctxseg.export.saved_model.serving import ServingModule
from keras_ctxseg.inference.panoptic import full_size_outputs, segments
from keras_ctxseg.models.segmentation_model import MINIMUM_SIZE
from keras_ctxseg.panoptic.options import GroupingOptions

SIGNATURE = "panoptic"


def panoptic_signature(
    thing_classes: Sequence[int], options: GroupingOptions | None = None
) -> Callable[[ServingModule], dict[str, tf.types.experimental.ConcreteFunction]]:
    """Makes the signature, as `ServingModule` takes it for `extra`.

    It takes `images`, float32 (batch, height, width, 3), RGB in 0..255, and returns

    - `segment_ids` int32 (batch, height, width): 1 ... count; 0 is void;
    - `categories` int32, `scores` float32, `areas` int32 (batch, slots): of segment k at place
      k - 1, things first; class id, mean probability (for things times the height of the centre),
      pixels. Beyond an image's count they are -1, 0 and 0;
    - `counts` int32 (batch,): segments of each image.

    The operations are those that `ctx.evaluation` scores with.

    Args:
        thing_classes: ids of the classes whose objects are told apart.
        options: of grouping and merging.
    """
    options = options or GroupingOptions()

    def make(module: ServingModule) -> dict[str, tf.types.experimental.ConcreteFunction]:
        def find(images):
            size = tf.shape(images)[1:3]
            inputs = images
            if module.image_scale != 1.0:
                inputs = tf.image.resize(images, scaled_size(size, module.image_scale))
            seen = tf.shape(inputs)[1:3]
            large_enough = tf.debugging.Assert(
                tf.reduce_all(seen >= MINIMUM_SIZE),
                [
                    f"images: expected at least {MINIMUM_SIZE} pixels a side after scaling by"
                    f" {module.image_scale:g}. Received [height width]",
                    size,
                ],
            )
            with tf.control_dependencies([large_enough]):
                outputs = dict(module.forward(tf.identity(inputs)))
            # The module's graph ends before the logits' upsampling.
            outputs["logits"] = tf.image.resize(outputs["logits"], seen)
            outputs = full_size_outputs(outputs, inputs, size)
            _, _, found = segments(outputs, thing_classes, module.ignore_label, options)
            return {
                "segment_ids": found.ids,
                "categories": found.categories,
                "scores": found.scores,
                "areas": found.areas,
                "counts": found.count,
            }

        # Kept by the module, so that what the function captures is saved with it.
        module.panoptic = tf.function(find, input_signature=[module.images], autograph=False)
        return {SIGNATURE: module.panoptic.get_concrete_function()}

    return make
