"""The decoder of DeepLabv3+ (arXiv 1802.02611, section 3.1 and figure 2)."""

import keras

from keras_ctxseg.layers import ConvNormAct, ResizeLike, SeparableConvNormAct


def deeplabv3plus_decoder(
    x,
    low_level,
    filters: int = 256,
    low_level_filters: int = 48,
    separable: bool = False,
    dilation: int = 1,
):
    """Brings context back to the detail of a fine feature map.

    The fine map by 1×1 conv-norm-act to `low_level_filters`, the context upsampled to its size,
    concatenated, then two 3×3 conv-norm-act.

    Args:
        x: Context `(batch, h, w, channels)`.
        low_level: Feature map at stride 4, `(batch, height/4, width/4, any)`.
        filters: Of the two 3×3 convolutions.
        low_level_filters: Channels that the fine map is reduced to.
        separable: Whether the 3×3 convolutions are depthwise separable.
        dilation: Their atrous rate; 0 for the control without context.

    Returns:
        `(batch, height/4, width/4, filters)`.
    """
    fine = ConvNormAct(low_level_filters, name="decoder_low_level")(low_level)
    if not separable:
        # Resizes and concatenates by itself, in another order.
        x = ConvNormAct(filters, 3, dilation=dilation, name="decoder_conv1")(fine, coarse=x)
        return ConvNormAct(filters, 3, dilation=dilation, name="decoder_conv2")(x)
    x = ResizeLike(name="decoder_upsample")(x, fine)
    x = keras.layers.Concatenate(name="decoder_concat")([x, fine])
    x = SeparableConvNormAct(filters, 3, dilation=dilation, name="decoder_conv1")(x)
    return SeparableConvNormAct(filters, 3, dilation=dilation, name="decoder_conv2")(x)
