"""Nearest-neighbour resizing to the size that a map of some reduction has."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ctxseg")
class ResizeNearest(keras.layers.Layer):
    """Resizes a feature map to `ceil(size / reduction)` of an image, by nearest neighbour.

    Half-pixel centres: output row i reads input row `floor((i + 1/2) · h / height)`, in whole
    numbers `(2i + 1) · h // (2 · height)`. Where the height is a multiple of h, that is each row
    repeated; elsewhere the rows are as evenly repeated as they can be.

    Args:
        reduction: Image pixels per output pixel, on each axis.

    Call arguments:
        features: Tensor `(batch, h, w, channels)`.
        images: Tensor `(batch, image_height, image_width, any)`; only its size is used.

    Call returns:
        Tensor `(batch, ceil(image_height / reduction), ceil(image_width / reduction), channels)`.
    """

    def __init__(self, reduction: int, **kwargs):
        super().__init__(**kwargs)
        if reduction < 1:
            raise ValueError(f"`reduction` must be at least 1. Received: reduction={reduction}")
        self.reduction = reduction

    def call(self, features, images):
        for axis in (1, 2):
            size = ops.shape(features)[axis]
            new_size = -(-ops.shape(images)[axis] // self.reduction)
            # An equal size known only at run time is rare enough to pay for the copy.
            if not (isinstance(size, int) and size == new_size):
                indices = (2 * ops.arange(new_size, dtype="int32") + 1) * size // (2 * new_size)
                features = ops.take(features, indices, axis=axis)
        return features

    def compute_output_shape(self, features_shape, images_shape):
        height, width = (
            None if size is None else -(-size // self.reduction) for size in images_shape[1:3]
        )
        return (features_shape[0], height, width, features_shape[3])

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}
