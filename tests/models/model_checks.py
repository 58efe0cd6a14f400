"""What every model must hold; a family's tests call these with its name and options."""

from functools import cache

import keras
import numpy as np
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.labels.panoptic import is_panoptic

NUM_CLASSES = 5

ON_JAX = {
    "KERAS_BACKEND": "jax",
    # What runs once should compile fast: half of the time.
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
}
"""Variables for a process of its own that tests the core on JAX."""


# A table that costs less to trace than the preset's sixteen blocks, with all there is to a block:
# down by one and three levels, up by two, an adopted node (3 into 4), a rate.
SPINENET_BLOCKS = (
    [5, "bottleneck", [0, 1], False, 2],
    [3, "residual", [1, 2]],
    [3, "residual", [0, 2], True, 2],
    [4, "bottleneck", [2, 4], True],
)


def build_small(name: str, **options):
    """Builds a model at the smallest width that its parts allow."""
    if name.endswith("mobilenet_v2"):
        options.setdefault("width", 0.35)
    if name.startswith("spacemeshlab"):
        options.setdefault("rates", (1, 6))  # four branches instead of sixteen
    if name.startswith("rsp"):
        options = {"heads": 2, "window": 3} | options  # as few relations as show everything
    if name.startswith("spinenet_seg"):
        options = {"width": 0.1, "blocks": SPINENET_BLOCKS} | options
    if "filters" not in options:
        options["filters"] = 16
    return ctx.models.build(name, NUM_CLASSES, **options)


@cache
def _built_once(name: str, policy: str):
    keras.utils.set_random_seed(0)
    model = build_small(name)
    return model, [np.array(variable) for variable in model.variables]


def shared_small(name: str):
    """`build_small(name)`, built once for all tests; its first state is put back."""
    model, state = _built_once(name, keras.config.dtype_policy().name)
    # A model that was compiled has more variables, at the end.
    for variable, value in zip(model.variables, state, strict=False):
        variable.assign(value)
    return model


def batch(rng, size=(65, 97), count=2):
    """Random images in 0...255 and labels with some pixels to ignore."""
    images = rng.uniform(0, 255, (count, *size, 3)).astype("float32")
    labels = rng.integers(0, NUM_CLASSES, (count, *size)).astype("int32")
    labels[:, :5] = 255
    return images, labels


def check_any_size(model, rng) -> None:
    """Logits are float32 at the input's size, eagerly and in one graph for all sizes."""
    any_images = tf.TensorSpec((None, None, None, 3), tf.float32)
    graph = tf.function(lambda images: model(images)["logits"], input_signature=[any_images])
    for size in ((65, 97), (33, 40), (64, 96)):
        images, _ = batch(rng, size, count=1)
        outputs = model(images)
        assert outputs["logits"].shape == (1, *size, NUM_CLASSES)
        assert keras.backend.standardize_dtype(outputs["logits"].dtype) == "float32"
        # Other kernels may be chosen in a graph: float32 rounding over the depth of the network.
        np.testing.assert_allclose(graph(images), outputs["logits"], rtol=1e-3, atol=5e-4)


def check_training_step(model, rng) -> None:
    """Every weight has a gradient, and one step of `fit` with the default recipe stays finite."""
    images, labels = batch(rng)
    labels[:, 20:40, 30:60] = 1 + 1024  # a thing, for models that tell instances apart
    if not is_panoptic(model.output):
        labels %= 1024
    # Eagerly: to make a graph for one step takes longer. `check_learning` steps in a graph.
    model.compile(**ctx.training.default_compile(model, ignore_label=255), run_eagerly=True)
    # A branch whose last scale starts at 0 hides the gradients of all that is before it.
    for weight in model.trainable_weights:
        if weight.name == "gamma" and not np.any(weight):
            weight.assign(np.full(weight.shape, 0.5))
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = model.compute_loss(images, labels, outputs)
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, f"{weight.path} has no gradient"
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 0, f"{weight.path} has no gradient"
    model.fit(images, labels, batch_size=2, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def check_learning(model, rng, steps: int = 25) -> None:
    """A few steps on one batch bring the loss well down."""
    images, _ = batch(rng)
    # Bright and dark halves: something that the first features already tell.
    labels = np.zeros(images.shape[:3], "int32")
    images[:, :, :48] /= 4.0
    labels[:, :, :48] = 1
    model.compile(**ctx.training.default_compile(model, learning_rate=0.02))
    losses = model.fit(images, labels, batch_size=2, epochs=steps, verbose=0).history["loss"]
    assert np.mean(losses[-3:]) < 0.6 * losses[0], losses


def check_output_strides(name: str, rng, output_strides: tuple[int, ...], **options) -> None:
    """Weights of the default output stride load at the others, and every stride runs."""
    images, _ = batch(rng, count=1)
    weights = shared_small(name).get_weights()
    for output_stride in output_strides:
        model = build_small(name, output_stride=output_stride, **options)
        model.set_weights(weights)
        assert model(images)["logits"].shape == (1, 65, 97, NUM_CLASSES)
