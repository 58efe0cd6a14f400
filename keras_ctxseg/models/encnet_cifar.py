"""EncNet's image classifier for CIFAR-10 (arXiv 1803.08904, section 3.5)."""

import keras
from keras import layers

from keras_ctxseg.layers import BatchNorm, Encoding, NormalizeImages

# Per-channel statistics of CIFAR-10's training images on the 0...255 scale.
CIFAR_MEAN = (125.3, 123.0, 113.9)
CIFAR_STD = (63.0, 62.1, 66.7)


def encnet_cifar(images, num_classes: int, *, widen: int = 4, num_codewords: int = 16) -> dict:
    """Builds the outputs of `encnet_cifar`: 14 layers, a context module in each residual block.

    A 3×3 convolution, three stages of two basic blocks with widths w, 2w, 4w, w = 16·`widen`, and
    strides 1, 2, 2, then BatchNormalization, ReLU, global average (8×8 for images of 32×32), and a
    fully connected layer.

    Args:
        images: `(batch, height, width, 3)`, RGB in 0...255.
        num_classes: Number of classes.
        widen: Factor on all widths; the paper has 4 and 8.
        num_codewords: K of each encoding layer; the paper has 16 and 32.

    Returns:
        `logits`, `(batch, num_classes)`, float32.
    """
    width = 16 * widen
    x = NormalizeImages(CIFAR_MEAN, CIFAR_STD, name="normalize")(images)
    x = _conv(x, width, 3, "stem_conv", use_bias=True)
    x = _norm_relu(x, "stem")
    for stage, strides in enumerate((1, 2, 2), start=1):
        for block in (1, 2):
            name = f"stage{stage}_block{block}"
            filters = width * 2 ** (stage - 1)
            x = _block(x, filters, strides if block == 1 else 1, num_codewords, name)
    x = _norm_relu(x, "tail")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return {"logits": layers.Dense(num_classes, dtype="float32", name="logits")(x)}


def _block(x, filters, strides, num_codewords, name):
    """Basic block: the context module gates the residual before the shortcut is added."""
    y = _conv(x, filters, 3, f"{name}_conv1", strides)
    y = _norm_relu(y, f"{name}_conv1")
    y = _conv(y, filters, 3, f"{name}_conv2")
    y = _norm(y, f"{name}_conv2")
    y = layers.Multiply(name=f"{name}_gated")([y, _gate(y, num_codewords, f"{name}_context")])
    if strides != 1 or x.shape[-1] != filters:
        x = _conv(x, filters, 1, f"{name}_shortcut", strides, use_bias=True)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _gate(x, num_codewords, name):
    """γ = sigmoid(FC(e / ‖e‖)), e the residuals of a quarter of the channels, side by side."""
    channels = x.shape[-1]
    x = _conv(x, channels // 4, 1, f"{name}_reduce", use_bias=True)
    x = _norm_relu(x, f"{name}_reduce")
    x = Encoding(num_codewords, resample_scale=True, name=f"{name}_encoding")(x)
    # Sums over all pixels: in half precision only once they are of length 1.
    x = layers.Flatten(dtype="float32", name=f"{name}_flatten")(x)
    x = layers.UnitNormalization(dtype="float32", name=f"{name}_unit")(x)
    x = layers.Dense(channels, activation="sigmoid", name=f"{name}_gate")(x)
    return layers.Reshape((1, 1, channels), name=f"{name}_gate_map")(x)


def _conv(x, filters, kernel_size, name, strides=1, use_bias=False):
    if strides > 1 and kernel_size > 1:
        # As PyTorch pads; "same" would be lopsided.
        x = layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
    convolution = layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same" if strides == 1 else "valid",
        use_bias=use_bias,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out"),
        name=name,
    )
    return convolution(x)


def _norm(x, name):
    return BatchNorm(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)


def _norm_relu(x, name):
    return layers.ReLU(name=f"{name}_relu")(_norm(x, name))
