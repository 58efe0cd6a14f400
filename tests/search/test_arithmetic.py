"""Counts by arithmetic against published ones and against networks that are built."""

import numpy as np
import pytest

from keras_ctxseg.backbones.block_tables import HAND_DILATED_BLOCKS, PARENT_BLOCKS, SCALES
from keras_ctxseg.search import SearchSpace, Topology, count_cost
from keras_ctxseg.search.arithmetic import convolutions


def test_the_parents_published_counts():
    """SpineNet-49, P3 to P7, without a head: 21,831,488 trainable, 18.09 GMAC at 512x512."""
    topology = Topology(PARENT_BLOCKS, 3, 7)
    # What stands before the head: all but the pyramid's five, its projection and the classifier.
    backbone = list(convolutions(topology, SCALES["s49"], 19, {}))[:-7]
    assert sum(conv.weights + 2 * conv.filters for conv in backbone) == 21_831_488
    macs = sum(conv.weights * (512 >> conv.level) ** 2 for conv in backbone)
    assert round(macs / 1e9, 2) == 18.09


@pytest.mark.parametrize(
    ("scale", "levels", "options", "parameters", "gmac"),
    [
        ("s49s", (3, 3), {}, 6.23, 11.5),
        ("s49s", (3, 7), {}, 10.38, 13.0),
        ("s49", (3, 3), {"decoder": True}, 15.30, 44.8),
        ("s190", (3, 7), {}, 130.72, 115.8),
    ],
)
def test_the_documented_counts(scale, levels, options, parameters, gmac):
    """docs/spinenet_seg.md, which were counted on traced graphs."""
    cost = count_cost(Topology(HAND_DILATED_BLOCKS, *levels), scale, 19, (512, 512), options)
    assert round(cost.trainable / 1e6, 2) == parameters
    assert round(cost.multiply_adds / 1e9, 1) == gmac


OPTIONS = [
    {},
    {"merge": "concat", "image_pooling": False},
    {"decoder": True, "separable_decoder": True, "rates": (1, 3)},
]


@pytest.mark.parametrize("samples", [3, pytest.param(9, marks=pytest.mark.whole)])
def test_samples_are_built_as_counted(samples):
    """Keras' count of a network that is built, for tables of every kind."""
    import keras_ctxseg as ctx

    space = SearchSpace(finest_levels=(2, 3, 4), extra_levels=(0, 1, 2))
    rng = np.random.default_rng(11)
    for number in range(samples):
        topology = space.decode(space.random(rng))
        scale = ("s49s", "s49s", "s96")[number % 3]
        options = {"width": 0.07, "filters": 8, **OPTIONS[number % 3]}
        model = ctx.models.build(f"spinenet_seg_{scale}", 3, **options, **topology.options)
        cost = count_cost(topology, scale, 3, (65, 97), options)
        assert cost.parameters == model.count_params(), topology.signature
        trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        assert cost.trainable == trainable, topology.signature
        if number < 2:  # Sizes that no stride divides.
            traced = ctx.benchmark.count_multiply_adds(model, (65, 97))
            assert cost.multiply_adds == traced.total, topology.signature
