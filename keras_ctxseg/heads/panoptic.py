"""Where instances have their centres: Panoptic-DeepLab's instance branch (1911.10194)."""

from collections.abc import Mapping

import keras

from keras_ctxseg.layers import ResizeLike, SeparableConvNormAct

# What the two convolutions count in. The losses' weights, 200 and 0.01, were made for Adam; so
# counted, their gradients are of the size of the cross-entropy's, and SGD's usual rates hold.
HEATMAP_UNIT = 1 / 16
OFFSET_UNIT = 32.0  # pixels


def instance_head(pyramid: Mapping, images, filters: int, head_filters: int = 32) -> dict:
    """A map of centres, and each pixel's way to the centre of its thing.

    Stated by Panoptic-DeepLab: class-agnostic centres as a heat map, offsets to them, each from a
    5×5 depthwise-separable convolution of 32 filters. Ours: the branch stands on the pyramid's
    levels, resized to the finest one and concatenated; the last convolutions count in units of
    `HEATMAP_UNIT` and `OFFSET_UNIT`.

    Args:
        pyramid: `{level: map}`.
        images: The model's input `(batch, height, width, 3)`; only its size is used.
        filters: Channels of the branch.
        head_filters: Channels before each output.

    Returns:
        `center_heatmap` `(batch, height, width, 1)`, 1 at the centre of a thing, falling off to 0;
        `center_offsets` `(batch, height, width, 2)`, down and right, in pixels of the input, from
        the pixel to the centre of its thing. Float32 under every dtype policy.
    """
    finest, *coarser = sorted(pyramid)
    levels = [pyramid[finest]]
    for level in coarser:
        resize = ResizeLike(name=f"instance_upsample{level}")
        levels.append(resize(pyramid[level], pyramid[finest]))
    x = keras.layers.Concatenate(name="instance_levels")(levels)
    x = SeparableConvNormAct(filters, kernel_size=5, name="instance_fuse")(x)

    def output(name: str, channels: int, unit: float):
        y = SeparableConvNormAct(head_filters, kernel_size=5, name=f"{name}_features")(x)
        y = keras.layers.Conv2D(
            channels,
            1,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name=f"{name}_conv",
        )(y)
        y = ResizeLike(dtype="float32", name=f"{name}_upsample")(y, images)
        return keras.layers.Rescaling(unit, dtype="float32", name=name)(y)

    return {
        "center_heatmap": output("center_heatmap", 1, HEATMAP_UNIT),
        "center_offsets": output("center_offsets", 2, OFFSET_UNIT),
    }
