"""The signature `panoptic`: images in, segments out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_ctxseg.export.saved_model.serving import ServingModule
from keras_ctxseg.inference.panoptic import full_size_outputs, segments
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
            inputs = module.network_inputs(images)
            outputs = dict(module.forward(inputs))
            # The module's graph ends before the logits' upsampling.
            outputs["logits"] = tf.image.resize(outputs["logits"], tf.shape(inputs)[1:3])
            outputs = full_size_outputs(outputs, inputs, tf.shape(images)[1:3])
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
