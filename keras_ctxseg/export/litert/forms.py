"""The forms of a LiteRT file, and how near each must stay to the Keras model."""

import math
from dataclasses import dataclass

from keras_ctxseg._naming import nearest


@dataclass(frozen=True)
class LitertForm:
    """How numbers are kept in a LiteRT file, and what its comparison with Keras must show.

    Attributes:
        name: one of `FORMS`.
        description: for a file's card and metadata.
        quantized: whether activations are integers, whose ranges real images must tell.
        label_agreement_limit: least share of pixels with Keras' class.
        max_softmax_limit: of float32 only; a single pixel says nothing about the others.
        mean_softmax_limit: largest mean difference of the softmax.
        mean_iou_loss_limit: how much mean IoU may be lost, where label maps are given.
    """

    name: str
    description: str
    quantized: bool
    label_agreement_limit: float
    max_softmax_limit: float
    mean_softmax_limit: float
    mean_iou_loss_limit: float


FORMS = {
    form.name: form
    for form in (
        LitertForm("fp32", "float32 throughout", False, 0.999, 1e-3, 1e-4, 0.001),
        LitertForm("fp16", "weights kept in float16", False, 0.995, math.inf, 1e-3, 0.005),
        LitertForm(
            "dynamic",
            "weights kept in int8, activations quantised as they come",
            False,
            0.985,
            math.inf,
            5e-3,
            0.01,
        ),
        LitertForm(
            "int8",
            "weights and activations in int8, float32 images and logits",
            True,
            0.98,
            math.inf,
            2e-2,
            0.01,
        ),
        LitertForm(
            "full_int8",
            "weights and activations in int8, uint8 images, class ids",
            True,
            0.98,
            math.inf,
            2e-2,
            0.01,
        ),
    )
}


def litert_form(name: str) -> LitertForm:
    """Looks up a form; ValueError, with the nearest right name, where there is none."""
    if name not in FORMS:
        raise ValueError(
            f"`form`: expected one of {', '.join(FORMS)}. Received: {name!r}.{nearest(name, FORMS)}"
        )
    return FORMS[name]
