"""Other packages' networks, built as they build them, to be timed beside ours."""

from collections.abc import Callable

import tensorflow as tf


def tf_models_deeplabv3plus(
    input_size: tuple[int, int],
    num_classes: int = 21,
    depth: int = 50,
    output_stride: int = 16,
    stem: str = "deep",
) -> Callable:
    """tf-models' DeepLabv3+ on a dilated ResNet, with random weights.

    The parts and their sizes are those of its experiment `seg_deeplabv3plus_pascal`, with ReLU in
    place of swish, as here. Its logits, at stride 4, are resized to the image's size, as its own
    serving module does; images are taken as normalised already.

    Args:
        input_size: height and width of the images.
        num_classes: channels of the logits.
        depth: of the ResNet.
        output_stride: 8 or 16.
        stem: `"7x7"`, or `"deep"` for three 3x3 convolutions.

    Returns:
        A function `(images, training) -> logits` (batch, height, width, num_classes) with the
        model's `trainable_weights`.
    """
    import tf_keras
    from official.vision.modeling import segmentation_model
    from official.vision.modeling.backbones import resnet_deeplab
    from official.vision.modeling.decoders import aspp
    from official.vision.modeling.heads import segmentation_heads

    height, width = input_size
    level = {8: 3, 16: 4}[output_stride]
    rates = {8: [12, 24, 36], 16: [6, 12, 18]}[output_stride]
    model = segmentation_model.SegmentationModel(
        backbone=resnet_deeplab.DilatedResNet(
            depth,
            output_stride,
            input_specs=tf_keras.layers.InputSpec(shape=[None, height, width, 3]),
            stem_type={"7x7": "v0", "deep": "v1"}[stem],
            multigrid=(1, 2, 4),
        ),
        decoder=aspp.ASPP(level=level, dilation_rates=rates),
        head=segmentation_heads.SegmentationHead(
            num_classes,
            level=level,
            num_convs=2,
            feature_fusion="deeplabv3plus",
            low_level=2,
            low_level_num_filters=48,
        ),
    )
    model(tf.zeros((1, height, width, 3)), training=False)
    return _ResizedLogits(model, input_size)


class _ResizedLogits:
    def __init__(self, model, input_size: tuple[int, int]):
        self._model = model
        self._input_size = input_size
        self.trainable_weights = model.trainable_weights

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        logits = self._model(images, training=training)["logits"]
        return tf.image.resize(logits, self._input_size)
