"""SpaceMeshLab's last step: consensus and spatial memory, side by side, to logits."""

import keras

from keras_ctxseg.layers import ResizeLike


def classify_with_memory(x, memory, num_classes: int, images, dropout: float = 0.1):
    """The upsampled context beside the fine map, 1×1 convolution to classes, to the images' size.

    Bilinear interpolation and a 1×1 convolution commute, as the interpolation's weights add up to
    1. So instead of concatenating at the memory's resolution, each map gets its part of the
    classifier's kernel at its own, and the scores are added: the same logits without a map of
    hundreds of channels at the image's size.

    Args:
        x: Context `(batch, h, w, channels)`.
        memory: Map of the SpaM branch `(batch, height/stride, width/stride, any)`.
        num_classes: Number of classes.
        images: The model's input `(batch, height, width, 3)`; only its size is used.
        dropout: Rate of the dropout on the context.

    Returns:
        Logits `(batch, height, width, num_classes)`, float32 under every dtype policy.
    """
    if dropout:
        x = keras.layers.Dropout(dropout, name="logits_dropout")(x)
    options = {"kernel_initializer": keras.initializers.RandomNormal(stddev=0.01)}
    coarse = keras.layers.Conv2D(num_classes, 1, name="logits_classifier", **options)(x)
    coarse = ResizeLike(dtype="float32", name="logits_upsample")(coarse, memory)
    fine = keras.layers.Conv2D(
        num_classes, 1, use_bias=False, name="logits_memory_classifier", **options
    )(memory)
    scores = keras.layers.Add(dtype="float32", name="logits_add")([coarse, fine])
    return ResizeLike(dtype="float32", name="logits")(scores, images)
