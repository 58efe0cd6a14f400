"""DeepLabv3 (arXiv 1706.05587), DeepLabv3+ (1802.02611) and KSAC (1908.09443).

KSAC is DeepLabv3+ whose pyramid shares one kernel; the three differ in a line.
"""

from keras_ctxseg.heads import classify, deeplabv3plus_decoder
from keras_ctxseg.layers import ASPP, ConvNormAct, SharedKernelASPP


def default_rates(output_stride: int) -> tuple[int, ...]:
    """(6, 12, 18) at output stride 16, doubled at 8, halved at 32 (1706.05587, section 3.3)."""
    return tuple(rate * 16 // output_stride for rate in (6, 12, 18))


def deeplabv3(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 256,
    rates: tuple[int, ...] | None = None,
    image_pooling: bool = True,
    dropout: float = 0.1,
    projection_size: int = 1,
    head_conv: bool = False,
) -> dict:
    """Builds the outputs of `deeplabv3_*`.

    Args:
        filters: Of the pyramid.
        rates: Atrous rates in feature pixels; by default (6, 12, 18) scaled to the output stride.
        image_pooling: Whether the pyramid has an image-pooling branch.
        dropout: Rate of the dropout after the pyramid.
        projection_size: Kernel size of the pyramid's last convolution; mmsegmentation's is 3.
        head_conv: Whether a 3×3 conv-norm-act stands between pyramid and classifier, as in
            torchvision and PyTorch-Encoding.
    """
    rates = rates or default_rates(backbone.output_stride)
    x = backbone(images)[5]
    x = ASPP(
        filters,
        rates,
        image_pooling=image_pooling,
        dropout=dropout,
        projection_size=projection_size,
        name="aspp",
    )(x)
    if head_conv:
        x = ConvNormAct(filters, 3, name="head_conv")(x)
    return {"logits": classify(x, num_classes, images)}


def deeplabv3plus(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 256,
    rates: tuple[int, ...] | None = None,
    image_pooling: bool = True,
    dropout: float = 0.1,
    projection_size: int = 1,
    separable_pyramid: bool = False,
    separable_decoder: bool = False,
    decoder_dilation: int = 1,
) -> dict:
    """Builds the outputs of `deeplabv3plus_*`.

    Args:
        filters: Of the pyramid and the decoder.
        rates: Atrous rates in feature pixels; by default (6, 12, 18) scaled to the output stride.
        image_pooling: Whether the pyramid has an image-pooling branch.
        dropout: Rate of the dropout after the pyramid.
        projection_size: Kernel size of the pyramid's last convolution; mmsegmentation's is 3.
        separable_pyramid: Whether the pyramid's 3×3 convolutions are depthwise separable.
        separable_decoder: Whether the decoder's 3×3 convolutions are depthwise separable.
        decoder_dilation: Their atrous rate; 0 for the control without context.
    """
    rates = rates or default_rates(backbone.output_stride)
    features = backbone(images)
    x = ASPP(
        filters,
        rates,
        image_pooling=image_pooling,
        dropout=dropout,
        projection_size=projection_size,
        separable=separable_pyramid,
        name="aspp",
    )(features[5])
    x = deeplabv3plus_decoder(
        x, features[2], filters, separable=separable_decoder, dilation=decoder_dilation
    )
    return {"logits": classify(x, num_classes, images)}


def ksac(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 256,
    rates: tuple[int, ...] | None = None,
    fusion: str = "concat",
    image_pooling: bool = True,
    dropout: float = 0.1,
    decoder: bool = True,
    separable_decoder: bool = True,
    decoder_dilation: int = 1,
) -> dict:
    """Builds the outputs of `ksac_*`.

    Args:
        filters: Of the pyramid and the decoder.
        rates: Atrous rates in feature pixels; by default (6, 12, 18) scaled to the output stride.
        fusion: How the branches meet; see `SharedKernelASPP`.
        image_pooling: Whether the pyramid has an image-pooling branch.
        dropout: Rate of the dropout after the pyramid.
        decoder: Whether DeepLabv3+'s decoder follows; without it the head is DeepLabv3's.
        separable_decoder: Whether the decoder's 3×3 convolutions are depthwise separable (ours).
        decoder_dilation: Their atrous rate; 0 for the control without context.
    """
    rates = rates or default_rates(backbone.output_stride)
    features = backbone(images)
    x = SharedKernelASPP(
        filters, rates, fusion, image_pooling=image_pooling, dropout=dropout, name="ksac"
    )(features[5])
    if decoder:
        x = deeplabv3plus_decoder(
            x, features[2], filters, separable=separable_decoder, dilation=decoder_dilation
        )
    return {"logits": classify(x, num_classes, images)}
