"""The memory of a training step against what can be counted by hand."""

import keras
import pytest
from keras import ops

from keras_ctxseg.costs.training_memory import estimate_training_memory
from keras_ctxseg.models import SegmentationModel

SCALARS = 32  # bytes; factors of the loss and counters


def mean_of_logits(labels, logits):
    """Its gradient needs no tensor of the forward pass."""
    return ops.mean(logits, axis=(1, 2, 3))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("size", "batch"), [((40, 33), 2), ((65, 50), 5)])
def test_a_stack_of_convolutions(depth, size, batch):
    images = keras.Input((None, None, 3))
    x = images
    for _ in range(depth):
        x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(x)
    outputs = {"logits": keras.layers.Conv2D(5, 1, use_bias=False)(x)}
    model = SegmentationModel(images, outputs, name="stack")
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss={"logits": mean_of_logits})
    memory = estimate_training_memory(model, size, batch)
    # Of each stage the rectified map stays: for its own gradient and for the next kernel's. The
    # images are the batch, which is there anyway.
    maps = depth * batch * size[0] * size[1] * 4 * 4
    assert 0 <= memory.activations - maps <= SCALARS
    kernels = 9 * 3 * 4 + (depth - 1) * 9 * 4 * 4 + 4 * 5
    scalars = memory.state - 3 * 4 * kernels  # weights, gradients, momenta
    assert 0 < scalars <= SCALARS  # the optimizer's count of steps and its rate
    assert memory.total == memory.state + memory.activations


def test_half_precision_keeps_half():
    def activations(policy):
        keras.config.set_dtype_policy(policy)
        images = keras.Input((None, None, 3))
        x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(images)
        x = keras.layers.ReLU()(x)
        logits = keras.layers.Conv2D(2, 1, use_bias=False, dtype="float32")(x)
        model = SegmentationModel(images, {"logits": logits}, name="stack")
        model.compile(keras.optimizers.SGD(0.1), loss={"logits": mean_of_logits})
        return estimate_training_memory(model, (33, 40), 3).activations

    pixels = 3 * 33 * 40
    assert 0 <= activations("float32") - pixels * 8 * 4 <= SCALARS
    # The rectified map in half precision, its float32 copy for the last layer, and what is cast:
    # the images and the first kernel.
    expected = pixels * (8 * 2 + 8 * 4 + 3 * 2) + 9 * 3 * 8 * 2
    assert 0 <= activations("mixed_bfloat16") - expected <= SCALARS
