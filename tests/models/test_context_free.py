"""The control without context: the same parameters, a receptive field of at most 33 pixels."""

import numpy as np
import tensorflow as tf

import keras_ctxseg as ctx

CONTROL = {"context_free_from": 2, "rates": (0, 0, 0), "decoder_dilation": 0}


def _receptive_fields(model, rows) -> list[int]:
    """How many rows of the image move the logit of each of these pixels of the diagonal."""
    image = tf.random.stateless_uniform((1, 129, 129, 3), (1, 2), 0, 255)
    images = tf.repeat(image, len(rows), axis=0)  # one for each pixel
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images)["logits"]
        total = sum(logits[index, row, row, 0] for index, row in enumerate(rows))
    fields = []
    for gradient in tape.gradient(total, images):
        seen = np.flatnonzero((np.abs(gradient).sum(axis=-1) > 0).any(axis=1))
        assert seen.size, "a dead network: no pixel moves the logit"
        fields.append(int(seen.max() - seen.min()) + 1)
    return fields


def test_receptive_field_and_parameters():
    options = {"width": 0.35, "filters": 16}
    model = ctx.models.build("ksac_mobilenet_v2", 4, **options)
    control = ctx.models.build("ksac_mobilenet_v2", 4, **options, **CONTROL)
    assert control.count_params() == model.count_params()
    assert _receptive_fields(model, [64])[0] > 100
    # Wherever a pixel lies between the cells of the coarsest map.
    assert 7 <= max(_receptive_fields(control, range(56, 72))) <= 33
