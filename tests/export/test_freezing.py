import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.export.graph import freezing
from keras_ctxseg.export.graph.batch_norm_folding import unfolded_products
from keras_ctxseg.export.graph.freezing import frozen_forward
from keras_ctxseg.models.coarse_logits import coarse_logits_model
from tests.models.model_checks import shared_small

FAMILIES = (
    "fcn_mobilenet_v2", "deeplabv3_resnet18", "deeplabv3plus_mobilenet_v2", "encnet_mobilenet_v2",
    "ksac_mobilenet_v2", "rsp_mobilenet_v2", "spacemeshlab_mobilenet_v2", "spinenet_seg_s49s",
)  # fmt: skip


def lively(model, seed=0):
    """Weights and statistics as after training: none of them neutral."""
    random = np.random.default_rng(seed)
    for variable in model.variables:
        path = variable.path
        if path.endswith(("moving_variance", "gamma")):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif path.endswith(("moving_mean", "beta", "bias")):
            variable.assign(random.normal(0, 0.3, variable.shape))
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_without_variables_and_with_normalisation_inside(name):
    model = lively(shared_small(name))
    frozen = frozen_forward(coarse_logits_model(model))
    operations = collections.Counter(node.op for node in frozen.graph_def.node)
    assert not [name for name in operations if "Variable" in name or "Partitioned" in name]
    # What follows a kernel that several rates share.
    shared = {"ksac": 3, "spacemeshlab": 4}.get(name.split("_")[0], 0)
    assert len(unfolded_products(frozen.graph_def)) == shared
    # Reciprocal roots of statistics are gone; the layer normalisation of RSP computes its own.
    assert operations["Rsqrt"] == (6 if name.startswith("rsp") else 0)
    convolutions = operations["Conv2D"] + operations["DepthwiseConv2dNative"]
    assert operations["BiasAdd"] > 0.7 * convolutions

    images = np.random.default_rng(1).uniform(0, 255, (2, 41, 54, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(images, training=False)["logits"])
    coarse = frozen(tf.constant(images))["logits"]
    got = tf.image.resize(coarse, (41, 54)).numpy()
    # Folding reorders float32 sums of up to a hundred layers.
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_a_bias_before_the_normalisation():
    images = keras.Input((None, None, 3))
    maps = keras.layers.Conv2D(4, 3, padding="same")(images)
    other = keras.layers.Conv2D(4, 3, padding="same")(images)
    # What is used before its normalisation too has to keep its own value.
    logits = keras.layers.BatchNormalization()(maps) + keras.layers.BatchNormalization()(other)
    model = lively(keras.Model(images, {"logits": logits + other}))
    frozen = frozen_forward(model)
    assert len(unfolded_products(frozen.graph_def)) == 1
    assert_same(frozen, model)


def test_a_shared_kernel_is_stored_once():
    images = keras.Input((None, None, 3))
    convolution = keras.layers.Conv2D(4, 3, padding="same")
    first = keras.layers.BatchNormalization()(convolution(images))
    second = keras.layers.BatchNormalization()(convolution(images * 0.5))
    model = lively(keras.Model(images, {"logits": first + second}))
    frozen = frozen_forward(model)
    kernels = [
        node
        for node in frozen.graph_def.node
        if node.op == "Const" and tf.make_ndarray(node.attr["value"].tensor).shape == (3, 3, 3, 4)
    ]
    assert len(kernels) == 1
    assert_same(frozen, model)


def assert_same(frozen, model):
    batch = np.random.default_rng(0).normal(0, 50, (1, 40, 35, 3)).astype("float32")
    np.testing.assert_allclose(
        frozen(tf.constant(batch))["logits"], model(batch)["logits"], rtol=1e-4, atol=1e-3
    )


def test_the_largest_weights_are_variables(monkeypatch):
    images = keras.Input((None, None, 3))
    maps = keras.layers.Conv2D(32, 5, padding="same")(images)
    model = lively(keras.Model(images, {"logits": keras.layers.Conv2D(40, 1)(maps)}))
    assert frozen_forward(model).weights == []
    monkeypatch.setattr(freezing, "_MOST_CONSTANT", 4 * (32 * 40 + 3 * 25 * 32) - 1)
    frozen = frozen_forward(model)
    (variable,) = frozen.weights
    assert variable.shape == (5, 5, 3, 32)
    assert not variable.trainable
    assert_same(frozen, model)


def test_every_output_is_kept():
    model = lively(shared_small("encnet_mobilenet_v2"))
    frozen = frozen_forward(model)
    batch = np.random.default_rng(0).uniform(0, 255, (1, 40, 35, 3)).astype("float32")
    expected = model(batch, training=False)
    got = frozen(tf.constant(batch))
    assert set(got) == set(expected) == {"logits", "aux_logits", "presence_logits"}
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
