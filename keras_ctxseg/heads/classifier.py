"""The last step of every head: class scores for each input pixel."""

import keras

from keras_ctxseg.layers import ResizeLike


def classify(x, num_classes: int, images, name: str = "logits", dropout: float = 0.0):
    """Dropout, 1×1 convolution to classes, bilinear to the images' size in float32.

    Args:
        x: Features `(batch, h, w, channels)`.
        num_classes: Number of classes.
        images: The model's input `(batch, height, width, 3)`; only its size is used.
        name: Of the output.
        dropout: Rate of the dropout before the classifier.

    Returns:
        Logits `(batch, height, width, num_classes)`, float32 under every dtype policy.
    """
    if dropout:
        x = keras.layers.Dropout(dropout, name=f"{name}_dropout")(x)
    x = keras.layers.Conv2D(
        num_classes,
        1,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name=f"{name}_classifier",
    )(x)
    return ResizeLike(dtype="float32", name=name)(x, images)
