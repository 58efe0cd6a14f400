"""The same weights at every output stride: subsampled features agree (deeplab2's test)."""

import numpy as np
import pytest

from keras_ctxseg import backbones
from tests.layers.layer_checks import randomize

BACKBONES = {
    "mobilenet_v2": {"width": 0.35},
    "resnet18": {},
    "resnet34": {"stem": "v1c"},
    "resnet50": {"stem": "deep", "multi_grid": (1, 2, 4)},
    "xception65": {"middle_repeats": 2},
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.whole if name == "resnet34" else ())
        for name in BACKBONES
    ],
)
def test_features_agree_at_every_output_stride(rng, name):
    sizes = [(65, 97), (64, 80)]
    images = [rng.uniform(0, 255, (1, *size, 3)).astype("float32") for size in sizes]
    features, weights = {}, None
    for output_stride in (8, 16, 32):
        backbone = backbones.create(name, output_stride=output_stride, **BACKBONES[name])
        model = backbone.as_model()
        if weights is None:
            _keep_activations_in_range(model, rng)
            weights = model.get_weights()
        model.set_weights(weights)
        features[output_stride] = [model(one) for one in images]
        for info in backbone.features:
            for size, found in zip(sizes, features[output_stride], strict=True):
                expected = [-(-length // info.reduction) for length in size]
                assert found[f"level{info.level}"].shape == (1, *expected, info.channels)
    for output_stride in (16, 32):
        for level in (2, 3, 4, 5):
            step = min(2**level, output_stride) // min(2**level, 8)
            for coarse, dense in zip(features[output_stride], features[8], strict=True):
                dense = np.array(dense[f"level{level}"])[:, ::step, ::step]
                coarse = np.array(coarse[f"level{level}"])
                assert np.abs(coarse).max() > 1e-3
                # The same sums in another order: relative to the largest feature, float32's
                # precision times the depth of the network.
                np.testing.assert_allclose(coarse, dense, rtol=0, atol=1e-5 * np.abs(dense).max())


def _keep_activations_in_range(model, rng):
    """Random weights of unit gain, and nothing at 0 or 1 that would hide a term."""
    initial = {weight.path: np.array(weight) for weight in model.weights}
    randomize(model, rng)
    for weight in model.weights:
        if weight.name == "kernel":
            weight.assign(initial[weight.path])


def test_first_block_of_a_dilated_stage_keeps_the_rate_before_it():
    def rates(**options):
        model = backbones.create("resnet50", output_stride=8, **options).as_model()
        return [
            model.get_layer(f"backbone_stage{stage}_block{block}_conv2").dilation[0]
            for stage, block in ((3, 4), (4, 1), (4, 2), (5, 1), (5, 2), (5, 3))
        ]

    assert rates() == [1, 1, 2, 2, 4, 4]
    assert rates(half_dilation=False) == [1, 2, 2, 4, 4, 4]
    assert rates(multi_grid=(1, 2, 4)) == [1, 1, 2, 2, 8, 16]
