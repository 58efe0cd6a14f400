"""The control without context: the same parameters, a receptive field of at most 33 pixels."""

import numpy as np
import tensorflow as tf

import keras_ctxseg as ctx

CONTROL = {"context_free_from": 2, "rates": (0, 0, 0), "decoder_dilation": 0}


def _receptive_field(model, row: int) -> int:
    images = tf.random.stateless_uniform((1, 129, 129, 3), (1, 2), 0, 255)
    with tf.GradientTape() as tape:
        tape.watch(images)
        logit = model(images)["logits"][0, row, row, 0]
    seen = np.abs(tape.gradient(logit, images)[0]).sum(axis=-1) > 0
    rows = np.flatnonzero(seen.any(axis=1))
    assert rows.size, "a dead network: no pixel moves the logit"
    return int(rows.max() - rows.min()) + 1


def test_receptive_field_and_parameters():
    options = {"width": 0.35, "filters": 16}
    model = ctx.models.build("ksac_mobilenet_v2", 4, **options)
    control = ctx.models.build("ksac_mobilenet_v2", 4, **options, **CONTROL)
    assert control.count_params() == model.count_params()
    assert _receptive_field(model, 64) > 100
    # Wherever a pixel lies between the cells of the coarsest map.
    assert 7 <= max(_receptive_field(control, row) for row in range(56, 72)) <= 33
