"""An exported network and its Keras model, both beside the same network in float64.

Deep networks with random weights amplify the rounding of float32, so that two right computations
differ by more than an export may. Then this tells rounding from error. `check_presets.py` and
`litert_parity.py` use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from scipy.special import softmax

import keras_ctxseg as ctx

SLACK = 1.25
"""An export may be so many times as far from float64 as Keras is."""


def beside_float64(
    name: str, model: keras.Model, images: list[np.ndarray], export: Callable[[np.ndarray], Any]
) -> tuple[bool, str]:
    """Compares with the same network in float64.

    Args:
        name: the preset that `model` is.
        model: with weights in float32.
        images: uint8, of one size.
        export: makes `{"logits": logits}` of a float32 batch in 0...255.

    Returns:
        Whether the export is as near to float64 as Keras is, and a line that tells how near.
    """
    batch = np.float32(images)
    keras.config.set_dtype_policy("float64")
    try:
        exact_model = ctx.models.build(name, model.output["logits"].shape[-1])
    finally:
        keras.config.set_dtype_policy("float32")
    exact_model.set_weights(model.get_weights())
    exact = _logits(exact_model(np.float64(batch), training=False))
    answers = {"Keras": model(batch, training=False), "the export": export(batch)}
    errors: list[float] = []
    lines = []
    for whose, answer in answers.items():
        logits = _logits(answer)
        errors.append(float(np.abs(softmax(logits, -1) - softmax(exact, -1)).mean()))
        agreed = 100 * np.mean(logits.argmax(-1) == exact.argmax(-1))
        lines.append(f"{whose} by {errors[-1]:.2e}, with {agreed:.4f} % of the labels")
    line = f"from float64 differ in the mean of softmax {' and '.join(lines)}"
    return errors[1] <= SLACK * errors[0], line


def _logits(answer: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(answer["logits"])
