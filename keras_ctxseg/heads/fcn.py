"""The fully convolutional head that EncNet and PSPNet are measured against."""

import keras

from keras_ctxseg.heads.classifier import classify
from keras_ctxseg.layers import ConvNormAct


def fcn_head(
    x,
    num_classes: int,
    images,
    filters: int,
    dropout: float = 0.1,
    dilation: int = 1,
    name="logits",
    convs: int = 1,
    concat_input: bool = False,
):
    """3×3 conv-norm-acts, dropout, 1×1 classifier, bilinear to the images' size.

    Args:
        x: Features `(batch, h, w, channels)`.
        num_classes: Number of classes.
        images: The model's input; only its size is used.
        filters: Of the 3×3 convolution.
        dropout: Rate of the dropout before the classifier.
        dilation: Atrous rate of the 3×3 convolution.
        name: Of the output.
        convs: How many 3×3 convolutions follow each other.
        concat_input: Whether one more fuses what they give with what they were given.

    Returns:
        Logits `(batch, height, width, num_classes)`, float32.
    """
    prefix = "head" if name == "logits" else name.removesuffix("_logits")
    inputs = x
    for number in range(1, convs + 1):
        layer_name = f"{prefix}_conv" if number == 1 else f"{prefix}_conv{number}"
        x = ConvNormAct(filters, 3, dilation=dilation, name=layer_name)(x)
    if concat_input:
        x = keras.layers.Concatenate(name=f"{prefix}_concat")([inputs, x])
        x = ConvNormAct(filters, 3, dilation=dilation, name=f"{prefix}_fusion")(x)
    return classify(x, num_classes, images, name=name, dropout=dropout)
