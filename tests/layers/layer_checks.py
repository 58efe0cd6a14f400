"""What every layer of the package must hold, whatever it computes."""

import keras
import numpy as np


def randomize(layer_or_model, rng) -> None:
    """Gives every weight a random value, so that no term of the mathematics is hidden by 0 or 1."""
    for weight in layer_or_model.weights:
        low, high = (0.5, 1.5) if weight.name in ("gamma", "moving_variance") else (-0.3, 0.3)
        weight.assign(rng.uniform(low, high, weight.shape))


def check_layer(make_layer, rng, channels: int = 6, tmp_path=None, others=()) -> None:
    """Checks sizes at run time, output shape, gradients, dtype policies and saving.

    Args:
        make_layer: Function of keyword arguments (`dtype`) to a new layer on one feature map, or
            on more (see `others`).
        rng: NumPy generator.
        channels: Of the input.
        tmp_path: Folder for the saved model.
        others: `(height, width, channels)` of further maps that the layer takes beside the first,
            which has 9×13 pixels.
    """
    shapes = [(9, 13, channels), *others]
    features = [rng.normal(size=(2, *shape)).astype("float32") for shape in shapes]
    inputs = [keras.Input((None, None, shape[-1])) for shape in shapes]
    layer = make_layer()
    model = keras.Model(inputs, layer(*inputs))
    randomize(model, rng)
    expected = np.array(model(features))

    fixed = [keras.Input(shape) for shape in shapes]
    static = keras.Model(fixed, make_layer()(*fixed))
    static.set_weights(model.get_weights())
    assert static.output.shape[1:] == expected.shape[1:]
    assert layer.compute_output_shape(*((2, None, None, shape[-1]) for shape in shapes)) == (
        2,
        None if model.output.shape[1] is None else expected.shape[1],
        None if model.output.shape[2] is None else expected.shape[2],
        expected.shape[3],
    )
    # float32 sums in another order: a few units in the last place.
    np.testing.assert_allclose(static.predict(features, verbose=0), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.predict(features, verbose=0), expected, rtol=1e-5, atol=1e-5)

    model.compile("sgd", "mse", jit_compile=False)
    assert np.isfinite(model.train_on_batch(features, expected + 1.0))
    assert all(np.isfinite(weight).all() for weight in model.get_weights())

    for policy in ("mixed_bfloat16", "mixed_float16"):
        half = make_layer(dtype=policy)
        outputs = half(*features)
        assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
        assert all(weight.dtype == "float32" for weight in half.weights)
        # A policy belongs to the layer, also when the file is read under another global policy.
        copy = type(half).from_config(half.get_config())
        assert keras.backend.standardize_dtype(copy(*features).dtype) == outputs.dtype.name

    if tmp_path is not None:
        model.save(tmp_path / "layer.keras")
        loaded = keras.models.load_model(tmp_path / "layer.keras")
        np.testing.assert_array_equal(np.array(loaded(features)), np.array(model(features)))
