"""A model without its last upsampling, where logits are still small."""

from collections.abc import Sequence

import keras

from keras_ctxseg.layers.resize import ResizeLike


def coarse_logits_model(model: keras.Model, others: Sequence[str] = ()) -> keras.Model:
    """The part of a functional model up to its last bilinear resizing.

    Every family ends by resizing logits to the images' size. Who wants labels only can do that
    band by band, and never hold the logits of all pixels.

    Args:
        model: functional, from images to a dict with `"logits"`.
        others: outputs of the model that are wanted as they are.

    Returns:
        A model of the same layers and weights from images to a dict of `"logits"` and `others`.
        `"logits"`, (batch, h, w, classes) float32, are what half-pixel bilinear interpolation to
        the images' size turns into the model's own logits. Where the model does not end in one,
        they are its own.
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
    outputs = {"logits": logits, **{name: model.output[name] for name in others}}
    return keras.Model(model.inputs[0], outputs, name=f"{model.name}_coarse")
