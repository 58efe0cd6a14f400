"""A model without its last upsampling, where logits are still small."""

import keras

from keras_ctxseg.layers.resize import ResizeLike


def coarse_logits_model(model: keras.Model) -> keras.Model:
    """The part of a functional model up to its last bilinear resizing.

    Every family ends by resizing logits to the images' size. Who wants labels only can do that
    band by band, and never hold the logits of all pixels.

    Args:
        model: functional, from images to a dict with `"logits"`.

    Returns:
        A model of the same layers and weights from images to `{"logits": ...}`, (batch, h, w,
        classes), float32: what half-pixel bilinear interpolation to the images' size turns into
        the model's own logits. Where the model does not end in one, these are its own logits.
    """
    logits = model.output["logits"]
    operation, node_index, _ = logits._keras_history
    if isinstance(operation, ResizeLike) and operation.compute_dtype == "float32":
        coarse, like = operation._inbound_nodes[node_index].input_tensors
        if like is model.inputs[0]:
            # As ResizeLike casts its inputs.
            if coarse.dtype != "float32":
                coarse = keras.ops.cast(coarse, "float32")
            logits = coarse
    return keras.Model(model.inputs[0], {"logits": logits}, name=f"{model.name}_coarse")
