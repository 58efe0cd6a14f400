"""The first layer of every model: from RGB in 0...255 to what a backbone expects."""

import keras
from keras import ops

# Per-channel statistics of ImageNet on the 0...255 scale, as used by torchvision's ResNets.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
# To [-1, 1], as used by MobileNetV2 and Xception.
CENTRED_MEAN = (127.5, 127.5, 127.5)
CENTRED_STD = (127.5, 127.5, 127.5)

# Mean and standard deviation by name; "caffe" is what keras.applications' ResNets were trained on.
NORMALIZATIONS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "centred": (CENTRED_MEAN, CENTRED_STD),
    "caffe": ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}


@keras.saving.register_keras_serializable("keras_ctxseg")
class NormalizeImages(keras.layers.Layer):
    """`(images - mean) / std` per channel, computed in float32 and cast to the compute dtype.

    Args:
        mean: Three numbers on the 0...255 scale.
        std: Three numbers on the 0...255 scale.

    Call arguments:
        images: `(batch, height, width, 3)`, RGB in 0...255.
    """

    def __init__(self, mean=IMAGENET_MEAN, std=IMAGENET_STD, **kwargs):
        # bfloat16 holds 0...255 only in steps of up to one, so the cast comes after the arithmetic.
        super().__init__(autocast=False, **kwargs)
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)

    def call(self, images):
        images = ops.cast(images, "float32")
        normalized = (images - ops.array(self.mean, "float32")) / ops.array(self.std, "float32")
        return ops.cast(normalized, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.pop("autocast", None)
        return {**config, "mean": self.mean, "std": self.std}
