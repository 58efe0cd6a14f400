"""EncNet's head (arXiv 1803.08904, section 2.1; laterals: the authors' later code)."""

from collections.abc import Mapping

import keras

from keras_ctxseg.heads.classifier import classify
from keras_ctxseg.layers import ContextEncoding, ConvNormAct, ResizeLike


def encnet_head(
    features: Mapping,
    num_classes: int,
    images,
    filters: int = 512,
    num_codewords: int = 32,
    variant: str = "released",
    lateral: bool = False,
    presence: bool = True,
    dropout: float = 0.1,
) -> dict:
    """3×3 conv-norm-act, laterals if wanted, context encoding, dropout, 1×1 classifier, bilinear.

    Args:
        features: `{level: feature map}` with level 5 and, for laterals, 3 and 4.
        num_classes: Number of classes.
        images: The model's input; only its size is used.
        filters: Channels of everything between the features and the classifier.
        num_codewords: Of the encoding layer.
        variant: `"released"` or `"paper"`; see `ContextEncoding`.
        lateral: Whether levels 3 and 4 join in, each by 1×1 conv-norm-act to `filters`, all fused
            by a 3×3 one.
        presence: Whether the encoded vector also tells which classes occur.
        dropout: Rate of the dropout before the classifier.

    Returns:
        `logits` `(batch, height, width, num_classes)` and, with `presence`, `presence_logits`
        `(batch, num_classes)`, float32.
    """
    x = ConvNormAct(filters, 3, name="head_conv")(features[5])
    if lateral:
        # Other output strides than 8 leave level 3, or 3 and 4, finer than level 5.
        laterals = [
            ResizeLike(name=f"lateral{level}_resize")(
                ConvNormAct(filters, name=f"lateral{level}")(features[level]), x
            )
            for level in (3, 4)
        ]
        x = keras.layers.Concatenate(name="lateral_concat")([x, *laterals])
        x = ConvNormAct(filters, 3, name="lateral_fusion")(x)
    x, encoded = ContextEncoding(num_codewords, variant, name="context_encoding")(x)
    outputs = {"logits": classify(x, num_classes, images, dropout=dropout)}
    if presence:
        outputs["presence_logits"] = presence_head(encoded, num_classes)
    return outputs


def presence_head(encoded, num_classes: int, name: str = "presence_logits"):
    """Which classes occur, from a vector for the scene (section 2, "Semantic Encoding Loss").

    Args:
        encoded: `(batch, channels)`.
        num_classes: Number of classes.
        name: Of the output.

    Returns:
        Logits `(batch, num_classes)`, float32 under every dtype policy.
    """
    return keras.layers.Dense(num_classes, dtype="float32", name=name)(encoded)
