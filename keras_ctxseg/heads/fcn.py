"""The fully convolutional head that EncNet and PSPNet are measured against."""

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
):
    """3×3 conv-norm-act, dropout, 1×1 classifier, bilinear to the images' size.

    Args:
        x: Features `(batch, h, w, channels)`.
        num_classes: Number of classes.
        images: The model's input; only its size is used.
        filters: Of the 3×3 convolution.
        dropout: Rate of the dropout before the classifier.
        dilation: Atrous rate of the 3×3 convolution.
        name: Of the output.

    Returns:
        Logits `(batch, height, width, num_classes)`, float32.
    """
    prefix = "head" if name == "logits" else name.removesuffix("_logits")
    x = ConvNormAct(filters, 3, dilation=dilation, name=f"{prefix}_conv")(x)
    return classify(x, num_classes, images, name=name, dropout=dropout)
