"""SpineNet against tf-models' network, against its equations in NumPy, and as data."""

import json

import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.backbones import PARENT_BLOCKS, BlockSpec, SpineNet, dilate, read_blocks
from keras_ctxseg.backbones.block_tables import (
    HAND_DILATED_BLOCKS,
    SCALES,
    adopted_nodes,
    output_nodes,
    required_nodes,
)
from tests.backbones import numpy_spinenet

# A table that search might write: both parents coarser (node 4), a jump over three levels (node 3),
# an adopted node (3 into 5), unequal dilations.
SEARCHED = (
    BlockSpec(3, "residual", (0, 1), dilation=2),
    BlockSpec(5, "bottleneck", (0, 2)),
    BlockSpec(2, "residual", (2, 1), dilation=4),
    BlockSpec(5, "bottleneck", (2, 4), is_output=True),
    BlockSpec(3, "bottleneck", (5, 4), is_output=True, dilation=2),
    BlockSpec(4, "residual", (6, 0), is_output=True),
)


def _trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.whole
@pytest.mark.parametrize(
    ("scale", "min_level", "activation"), [("s49", 3, "relu"), ("s96", 2, "swish")]
)
def test_it_equals_tf_models(rng, scale, min_level, activation):
    import tf_keras
    from official.vision.modeling.backbones import spinenet

    # tf-models needs multiples of 128, where its "same" padding is lopsided; so is ours, always.
    size = (128, 256)
    scaling = spinenet.SCALING_MAP[scale.removeprefix("s")]
    peer = spinenet.SpineNet(
        tf_keras.layers.InputSpec(shape=[None, *size, 3]),
        min_level,
        7,
        activation=activation,
        **scaling,
    )
    backbone = SpineNet(scale, min_level, 7, activation=activation)
    ours = backbone.as_model()
    assert _trainable(ours) == sum(int(np.prod(w.shape)) for w in peer.trainable_weights)
    images = rng.uniform(0, 255, (2, *size, 3)).astype("float32")
    pairs = _pairs(ours, peer, backbone)
    for layer, conv, _ in pairs:
        layer.conv.set_weights(conv.get_weights())
    _settle(ours, images, rng)
    for layer, _, norm in pairs:
        norm.set_weights(layer.norm.get_weights())
    normalized = (images - np.array(backbone.mean)) / np.array(backbone.std)
    expected = peer(normalized.astype("float32"), training=False)
    found = ours(images)
    assert set(found) == {f"level{level}" for level in range(min_level, 8)}
    for level, reference in expected.items():
        reference = reference.numpy()
        assert np.abs(reference).max() > 0.1
        np.testing.assert_allclose(
            found[f"level{level}"], reference, rtol=0, atol=1e-5 * np.abs(reference).max()
        )


def _pairs(ours, peer, backbone):
    """Our layers with weights, each with tf-models' convolution and normalisation of the same role.

    tf-models' layers are numbered in the order in which it makes them: stem, then for each node the
    resampling of its two parents and its blocks, then the outputs.
    """
    import tf_keras
    from official.vision.modeling.layers import nn_blocks

    def made(layer_type):
        layers = [layer for layer in peer.layers if isinstance(layer, layer_type)]
        # conv2d, conv2d_1, conv2d_2, ...: the shorter name is the earlier one.
        return sorted(layers, key=lambda layer: (len(layer.name), layer.name))

    norms = made(tf_keras.layers.BatchNormalization)
    convs = iter(zip(made(tf_keras.layers.Conv2D), norms, strict=True))
    blocks = {
        "bottleneck": iter(made(nn_blocks.BottleneckBlock)),
        "residual": iter(made(nn_blocks.ResidualBlock)),
    }
    named = {}

    def add_group(node, kind):
        for number in range(1, backbone.scale.repeats + 1):
            block, name = next(blocks[kind]), f"node{node}_block{number}"
            if node == 0 and number == 1:
                named[f"{name}_shortcut"] = block._shortcut, block._norm0
            for index in (1, 2, 3) if kind == "bottleneck" else (1, 2):
                conv, norm = getattr(block, f"_conv{index}"), getattr(block, f"_norm{index}")
                named[f"{name}_conv{index}"] = conv, norm

    named["stem_conv"] = next(convs)
    levels = {0: 2, 1: 2}
    for node in (0, 1):
        add_group(node, "bottleneck")
    for node, block in enumerate(PARENT_BLOCKS, start=2):
        levels[node] = block.level
        if block.is_output and block.level not in backbone.levels:
            continue  # Node 17 where P2 is not asked for; nobody else reads it.
        for parent in block.parents:
            named[f"node{node}_from{parent}_reduce"] = next(convs)
            if levels[parent] < block.level:
                named[f"node{node}_from{parent}_down"] = next(convs)
            named[f"node{node}_from{parent}_expand"] = next(convs)
        add_group(node, block.type)
    for level in backbone.levels:
        named[f"p{level}"] = next(convs)
    assert next(convs, None) is None
    assert {f"backbone_{name}" for name in named} == {x.name for x in ours.layers if x.weights}
    return [(ours.get_layer(f"backbone_{name}"), *theirs) for name, theirs in named.items()]


def _settle(model, images, rng):
    """Random normalisation of each layer's own magnitude: activations stay of order one.

    Without it they grow through the network, and swish is ReLU for all but small values. A layer's
    channels share the magnitude: where a map has two pixels, a channel's own variance may be next
    to nothing, and dividing by it blows rounding up.
    """
    norms = [layer.norm for layer in model.layers if hasattr(layer, "norm")]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm in norms:
        power = np.mean(np.array(norm.moving_variance) + np.array(norm.moving_mean) ** 2)
        shape = norm.gamma.shape
        norm.gamma.assign(rng.uniform(0.4, 1.0, shape))
        norm.beta.assign(rng.uniform(-0.3, 0.3, shape))
        norm.moving_mean.assign(rng.uniform(-0.3, 0.3, shape) * np.sqrt(power))
        norm.moving_variance.assign(rng.uniform(0.5, 1.5, shape) * power)


def test_published_counts():
    """tf-models' counts; 20,283,712 would mean that node 14 does not take node 11 in."""
    model = SpineNet("s49", 3, 7).as_model((512, 512, 3))
    assert _trainable(model) == 21_831_488
    assert round(ctx.benchmark.count_multiply_adds(model, (512, 512)).total / 1e9, 2) == 18.09
    assert _trainable(SpineNet("s49", 2, 7).as_model()) == 22_034_688


@pytest.mark.parametrize("size", [(45, 70), (33, 40), (128, 128)])
@pytest.mark.parametrize("activation", ["relu", "swish"])
def test_it_equals_its_equations_at_any_size(rng, size, activation):
    """Where tf-models cannot go: sizes that are no multiples, dilation, another table."""
    backbone = SpineNet("s49", 3, 5, SEARCHED, width=0.1, activation=activation)
    model = backbone.as_model()
    images = rng.uniform(0, 255, (2, *size, 3)).astype("float32")
    _settle(model, images, rng)
    expected = numpy_spinenet.forward(model, images, SEARCHED, activation)
    found = model(images)
    for level in (3, 4, 5):
        reference = expected[level]
        assert reference.shape[1:3] == tuple(-(-length // 2**level) for length in size)
        # float32 against float64, over the depth of the network.
        np.testing.assert_allclose(
            found[f"level{level}"], reference, rtol=0, atol=1e-5 * np.abs(reference).max()
        )


def test_only_node_11_is_adopted_in_the_parent():
    adopted = {node: others for node, others in adopted_nodes(PARENT_BLOCKS).items() if others}
    assert adopted == {14: (11,)}
    assert {n: others for n, others in adopted_nodes(SEARCHED).items() if others} == {5: (3,)}
    # Level and type decide; in a small image node 11's map is as large as level 6's and 7's.
    model = SpineNet("s49s", 3, 7, width=0.1).as_model((40, 40, 3))
    inputs = model.get_layer("backbone_node14_add").input
    sources = [tensor._keras_history.operation.name for tensor in inputs]
    assert sources == [
        "backbone_node14_from7_expand",
        "backbone_node14_from12_expand",
        "backbone_node11_block1_relu",
    ]


def test_only_what_an_output_depends_on_is_built():
    assert output_nodes(PARENT_BLOCKS) == {2: 17, 3: 13, 4: 12, 5: 14, 6: 16, 7: 15}
    assert required_nodes(PARENT_BLOCKS, [3]) == {*range(11), 13}
    assert required_nodes(PARENT_BLOCKS, range(3, 8)) == set(range(17))
    assert required_nodes(PARENT_BLOCKS, range(2, 8)) == set(range(18))
    model = SpineNet("s49s", 3, 3, width=0.1).as_model()
    names = {layer.name.split("_")[1] for layer in model.layers if layer.weights}
    assert names == {"stem", "p3", *(f"node{node}" for node in (*range(11), 13))}


def test_a_table_is_plain_data():
    rows = json.loads(json.dumps([block.row for block in HAND_DILATED_BLOCKS]))
    assert read_blocks(rows) == HAND_DILATED_BLOCKS
    assert read_blocks([[2, "residual", [0, 1]]]) == (BlockSpec(2, "residual", (0, 1)),)
    rates = {block.level: block.dilation for block in HAND_DILATED_BLOCKS}
    assert rates == {2: 1, 3: 2, 4: 2, 5: 1, 6: 1, 7: 1}
    assert dilate(HAND_DILATED_BLOCKS, {3: 1, 4: 1}) == PARENT_BLOCKS
    assert all(block.dilation == 1 for block in PARENT_BLOCKS)


def test_dilation_reaches_every_3x3_of_a_block_and_no_weight():
    plain = SpineNet("s96", 3, 5, width=0.1).as_model()
    dilated = SpineNet("s96", 3, 5, dilate(PARENT_BLOCKS, {4: 3}), width=0.1).as_model()
    assert [w.shape for w in plain.weights] == [w.shape for w in dilated.weights]
    rates = {
        layer.name: layer.dilation
        for layer in dilated.layers
        if getattr(layer, "dilation", (1, 1)) != (1, 1)
    }
    expected = [f"node3_block{number}_conv{index}" for number in (1, 2) for index in (1, 2)]
    expected += [f"node{node}_block{number}_conv2" for node in (5, 7, 12) for number in (1, 2)]
    assert rates == {f"backbone_{name}": (3, 3) for name in expected}


def test_interface():
    backbone = SpineNet("s49s", 3, 5, width=0.5)
    assert [(info.level, info.channels, info.reduction) for info in backbone.features] == [
        (3, 64, 8),
        (4, 64, 16),
        (5, 64, 32),
    ]
    assert backbone.output_stride == 8
    assert backbone.channels(4) == 64
    assert backbone.stages == {}
    model = backbone.as_model()
    assert all(weight.path.startswith("backbone_") for weight in model.weights)
    assert set(SCALES) == {"s49s", "s49", "s96", "s143", "s190"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SpineNet("49"), "`scale` must be one of .*Received: scale='49'.*Did you mean"),
        (lambda: SpineNet(activation="gelu"), "`activation` must be 'relu' or 'swish'.*'gelu'"),
        (lambda: SpineNet(width=0), "`width` must be positive. Received: width=0"),
        (lambda: SpineNet(min_level=1), r"blocks` puts out: \[2, 3, 4, 5, 6, 7\].*min_level=1"),
        (lambda: SpineNet(min_level=5, max_level=4), "Received: min_level=5, max_level=4"),
        (lambda: BlockSpec(8, "residual", (0, 1)), "`level` must be 1 to 7. Received: level=8"),
        (lambda: BlockSpec(3, "basic", (0, 1)), "`type` must be one of .*Received: type='basic'"),
        (lambda: BlockSpec(3, "residual", (1, 1)), "`parents` must be two different nodes"),
        (lambda: BlockSpec(3, "residual", (0, 1), dilation=0), "`dilation` must be an integer of"),
        (
            lambda: SpineNet(blocks=[[2, "residual", [0, 2]]]),
            r"`blocks` must give node 2 parents from 0 to 1. Received: parents=\(0, 2\)",
        ),
        (lambda: SpineNet(blocks=[[2, "residual"]]), "bad row for node 2: expected .level, type"),
        (lambda: SpineNet(blocks=[[2, "basic", [0, 1]]]), "bad row for node 2: `type` must be"),
        (
            lambda: SpineNet(blocks=[[2, "residual", [0, 1], True]] * 2),
            "put each level out once. Received: level 2 again at node 3",
        ),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()
