"""Keras networks as backbones: what becomes of each kind of layer, and what is refused."""

import functools

import keras
import numpy as np
import pytest
from keras import layers

import keras_ctxseg as ctx
from keras_ctxseg.backbones import from_keras
from tests.layers.layer_checks import randomize

NAMES = [f"level{level}" for level in range(1, 6)]


def same(x, filters, level):
    x = layers.Conv2D(filters, 3, 2, padding="same", use_bias=False)(x)
    return layers.ReLU(name=f"level{level}")(layers.BatchNormalization()(x))


def padded(x, filters, level):
    """Explicit symmetric padding, as in ResNets, with an identity path that strides by pooling."""
    y = layers.ZeroPadding2D(1)(x)
    y = layers.DepthwiseConv2D(3, 2)(y)
    y = layers.Conv2D(filters, 1)(y)
    x = layers.Conv2D(filters, 1)(layers.MaxPooling2D(1, 2)(x))
    return layers.Add(name=f"level{level}")([x, y])


def patches(x, filters, level):
    """Windows of the stride, as in ConvNeXt and DenseNet, and kernels of their own rate."""
    x = layers.Conv2D(filters, 2, 2)(x) if level % 2 else layers.AveragePooling2D(2)(x)
    y = layers.Conv2D(x.shape[-1], 7, padding="same", groups=x.shape[-1])(x)
    x = layers.Concatenate()([x, layers.LayerNormalization()(y)])
    return layers.Conv2D(filters, 3, padding="same", dilation_rate=2, name=f"level{level}")(x)


def for_even_sizes(x, filters, level):
    """Padding at the end only, as MobileNetV3 has it, with gates and separable convolutions."""
    y = layers.ZeroPadding2D(((1, 2), (1, 2)))(x)
    y = layers.SeparableConv2D(filters, 5, 2)(y)
    return layers.Activation("hard_swish", name=f"level{level}")(y)


def cut_off(x, filters, level):
    """Convolutions and pools that see nothing outside the map, without padding anywhere."""
    if level == 2:
        x = layers.Conv2D(filters, 3)(x)
    if level > 3:
        pool = layers.MaxPooling2D if level == 4 else layers.AveragePooling2D
        return pool(3, 2, name=f"level{level}")(x)
    return layers.Conv2D(filters, 3, 2, activation="relu", name=f"level{level}")(x)


STYLES = {
    function.__name__: function for function in (same, padded, patches, for_even_sizes, cut_off)
}


def network(style, size=(None, None), channels=3, rng=None):
    """Five levels in one style; static where `size` is given."""
    images = keras.Input((*size, channels))
    x = images
    for level in range(1, 6):
        x = STYLES[style](x, 4 * level, level)
    model = keras.Model(images, x, name=style)
    if rng is not None:
        randomize(model, rng)
    return model


def border(style):
    """Pixels on each side that the network as it is cuts off, in all."""
    return {"cut_off": 1 * 1 + 1 * 2 + 1 * 2 + 1 * 4 + 1 * 8 + 1 * 16}.get(style, 0)


@pytest.mark.parametrize("style", STYLES)
def test_it_computes_what_the_network_does(rng, style):
    """At output stride 32 and sizes that fit, with the network's weights; elsewhere the sizes."""
    source = network(style, rng=rng)
    backbone = from_keras(source, NAMES)
    model = backbone.as_model()
    assert [info.level for info in backbone.features] == [1, 2, 3, 4, 5]
    assert [info.reduction for info in backbone.features] == [2, 4, 8, 16, 32]
    images = rng.uniform(-1, 1, (2, 64, 96, 3)).astype("float32")
    pad = border(style)
    static = network(style, (64 + 2 * pad, 96 + 2 * pad))
    static.set_weights(source.get_weights())
    whole = keras.Model(static.input, [static.get_layer(name).output for name in NAMES])
    expected = whole(np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0))))
    for (name, found), theirs in zip(model(images).items(), expected, strict=True):
        reduction = 2 ** int(name[-1])
        assert found.shape[1:3] == (64 // reduction, 96 // reduction)
        theirs = np.array(theirs)
        if pad:  # What later levels have yet to cut off.
            extra = [(theirs.shape[axis] - found.shape[axis]) // 2 for axis in (1, 2)]
            theirs = theirs[:, extra[0] :, extra[1] :][:, : found.shape[1], : found.shape[2]]
        assert np.abs(theirs).max() > 1e-3
        np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())
    for size in ((33, 40), (63, 47), (65, 98)):
        for name, found in model(np.zeros((1, *size, 3), "float32")).items():
            reduction = 2 ** int(name[-1])
            assert found.shape[1:3] == tuple(-(-length // reduction) for length in size)


@pytest.mark.parametrize("style", STYLES)
def test_the_same_weights_at_every_output_stride(rng, style):
    """Of the pixels of the finer maps, one in each cell is the coarser map's."""
    source = network(style, rng=rng)
    images = rng.uniform(-1, 1, (1, 128, 96, 3)).astype("float32")
    features = {}
    for output_stride in (32, 16, 8):
        backbone = from_keras(source, NAMES, output_stride)
        model = backbone.as_model()
        assert [w.path for w in model.weights] == [
            w.path for w in from_keras(source, NAMES).as_model().weights
        ]
        features[output_stride] = [np.array(found) for found in model(images).values()]
    for output_stride, found in features.items():
        for level, (fine, coarse) in enumerate(zip(found, features[32], strict=True), start=1):
            step = max(1, 2**level // output_stride)
            phases = [
                np.abs(fine[:, down::step, right::step] - coarse).max()
                for down in range(step)
                for right in range(step)
            ]
            # Not at every phase: the maps do vary from pixel to pixel.
            assert min(phases) < 1e-5 * np.abs(coarse).max()
            assert step == 1 or max(phases) > 1e-2 * np.abs(coarse).max()


@pytest.mark.parametrize("style", STYLES)
def test_stage_by_stage_is_the_whole(rng, style):
    source = network(style, rng=rng)
    backbone = from_keras(source, NAMES, 16)
    images = keras.Input((None, None, 3))
    if style == "cut_off":
        # Pixels that later levels cut off are cropped from earlier levels' features.
        assert "level 1 has pixels that the levels after it cut off" in backbone.no_stages
        assert not backbone.stages
        return
    x = backbone.stem(backbone.normalize(images))
    for stage in backbone.stages.values():
        x = stage(x)
    staged, whole = keras.Model(images, x), backbone.as_model()
    values = rng.uniform(-1, 1, (1, 47, 64, 3)).astype("float32")
    np.testing.assert_array_equal(staged(values), whole(values)["level5"])


def test_spam_needs_stages(rng):
    """A later level that reads the images again: a branch cannot exchange between levels."""
    images = keras.Input((None, None, 3))
    x = images
    for level in range(1, 6):
        x = same(x, 4, level)
        if level == 3:
            again = layers.Conv2D(4, 8, 8, padding="same")(images)
            x = layers.Concatenate(name="both")([x, again])
    source = keras.Model(images, x, name="twice")
    backbone = from_keras(source, NAMES, 16)
    assert not backbone.stages
    assert "of level 4 reads more than level 3" in backbone.no_stages
    model = backbone.as_model()
    assert model(np.zeros((1, 64, 64, 3), "float32"))["level5"].shape == (1, 4, 4, 4)
    make = functools.partial(from_keras, source, NAMES)
    ctx.backbones.register_backbone("twice", make)
    try:
        options = {"filters": 8, "rates": (1, 2)}
        with pytest.raises(ValueError, match="SpaM.*'twice'.*level.*spam=False"):
            ctx.models.build("spacemeshlab_twice", 3, **options)
        built = ctx.models.build("spacemeshlab_twice", 3, spam=False, **options)
        assert built.name == "spacemeshlab_twice"
    finally:
        del ctx.backbones.BACKBONES._entries["twice"]


def test_preprocessing_becomes_the_first_layer(rng):
    images = keras.Input((None, None, 3))
    mean, variance = [0.485, 0.456, 0.406], [0.05, 0.06, 0.07]
    x = layers.Rescaling(1 / 255, offset=0.1)(images)
    x = layers.Normalization(mean=mean, variance=variance)(x)
    for level in range(1, 6):
        x = same(x, 4, level)
    source = keras.Model(images, x)
    randomize(source, rng)
    values = rng.uniform(0, 255, (2, 65, 64, 3)).astype("float32")
    expected = source(values)
    model = from_keras(source, NAMES).as_model()
    assert [layer.name for layer in model.layers[:3]] == [
        "images", "normalize", "backbone_conv2d_1",
    ]  # fmt: skip
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model(values)["level5"], expected, rtol=0, atol=1e-5 * scale)
    other = from_keras(source, NAMES, normalization={"mean": (1, 2, 3), "std": 4.0})
    assert (other.mean, other.std) == ((1.0, 2.0, 3.0), (4.0, 4.0, 4.0))


def test_a_network_for_bgr_gets_rgb_images(rng):
    source = network("same", rng=rng)
    images = rng.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    model = from_keras(source, NAMES, normalization="caffe", bgr=True).as_model()
    expected = source((images - np.float32([123.68, 116.779, 103.939]))[..., ::-1])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model(images)["level5"], expected, rtol=0, atol=1e-5 * scale)


def test_models_inside_models_and_names_that_repeat(rng):
    def stage(level):
        images = keras.Input((None, None, 4 if level > 1 else 3))
        return keras.Model(images, same(images, 4, level), name=f"stage{level}")

    last = keras.Sequential([layers.Conv2D(5, 3, 2, "same"), layers.ReLU()], name="stage5")
    images = keras.Input((None, None, 3))
    x = images
    for level in range(1, 5):
        x = stage(level)(x)
    source = keras.Model(images, last(x))
    randomize(source, rng)
    values = rng.uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    for taps in (["level2", "stage4", "stage5"], {2: "level2", 4: "stage4", 5: source.output}):
        model = from_keras(source, taps).as_model()
        assert list(model.output) == ["level2", "level4", "level5"]
        np.testing.assert_allclose(model(values)["level5"], source(values), atol=1e-5)
        names = [layer.name for layer in model.layers[2:]]
        assert all(name.startswith("backbone_") for name in names)
        assert names[:3] == [
            "backbone_conv2d_1", "backbone_batch_normalization_1", "backbone_level1",
        ]  # fmt: skip
        # Numbers do not depend on what else this process has built.
        assert names[-2:] == ["backbone_conv2d_5", "backbone_re_lu_1"]


def test_weights_momentum_and_frozen_layers():
    source = network("same")
    source.layers[2].trainable = False
    model = from_keras(source, NAMES, momentum=0.95).as_model()
    norms = [layer for layer in model.layers if isinstance(layer, ctx.layers.BatchNorm)]
    assert [norm.momentum for norm in norms] == [0.95] * 5
    assert [norm.epsilon for norm in norms] == [source.layers[2].epsilon] * 5
    assert [norm.trainable for norm in norms] == [False, True, True, True, True]
    for ours, theirs in zip(model.weights, source.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    """Somebody's layer, each pixel alone."""

    def call(self, x):
        return 2 * x


@keras.saving.register_keras_serializable("tests")
class Halved(layers.Layer):
    """Somebody's layer, which subsamples."""

    def call(self, x):
        return x[:, ::2, ::2]

    def compute_output_shape(self, shape):
        return (shape[0], *(None if n is None else -(-n // 2) for n in shape[1:3]), shape[3])


def test_layers_of_ones_own(rng):
    def with_layer(make, after):
        images = keras.Input((None, None, 3))
        x = images
        for level in range(1, 6):
            x = same(x, 4, level)
            if level == after:
                x = make(name="own")(x)
        return keras.Model(images, x, name="own")

    doubled = with_layer(Doubled, after=5)
    names = [*NAMES[:4], "own"]
    assert from_keras(doubled, names).features[-1].reduction == 32
    with pytest.raises(
        ValueError, match=r"`output_stride` must be larger.*layer 'own' \(Doubled\).*`pointwise`"
    ):
        from_keras(doubled, names, 16)
    dense = from_keras(doubled, names, 16, pointwise=[Doubled])
    assert dense.features[-1].reduction == 16
    # One that changes the size is taken as it is where nothing has to be dilated.
    halved = with_layer(Halved, after=4)
    backbone = from_keras(halved, ["level2", "level4", "own"])
    assert [info.reduction for info in backbone.features] == [4, 16, 32]
    with pytest.raises(ValueError, match=r"'own' \(Halved\) cannot be dilated"):
        from_keras(halved, ["level2", "level4", "own"], 16)


def _shared_layer():
    images = keras.Input((None, None, 3))
    x = layers.Conv2D(3, 3, 2, "same", name="shared")
    return keras.Model(images, x(x(images)))


def _two_inputs():
    first, second = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    return keras.Model([first, second], layers.Add()([first, second]))


def _other_resolutions():
    images = keras.Input((None, None, 3))
    x = layers.Conv2D(3, 3, 2, "same")(images)
    return keras.Model(images, layers.Concatenate(name="join")([x, images]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: from_keras(network("same")), "`taps` is needed: 'same' does not name"),
        (lambda: from_keras(network("same"), "level5"), "`taps` must be a list of layers, or"),
        (lambda: from_keras(network("same"), ["levl5"]), "no such layer: 'levl5'.*'level5'"),
        (lambda: from_keras(network("same"), ["level5", "level5"]), "second at level 5"),
        (lambda: from_keras(network("same"), {4: "level5"}), "at level 4; its reduction is 32"),
        (lambda: from_keras(network("same"), NAMES, 12), "must be one of .*output_stride=12"),
        (lambda: from_keras(network("same"), NAMES, momentum=1), r"`momentum` must be in \[0, 1\)"),
        (lambda: from_keras(_shared_layer(), ["shared"]), "calls it more than once: 'shared'"),
        (lambda: from_keras(_two_inputs(), ["add"]), "with one input"),
        (lambda: from_keras(_other_resolutions(), ["join"]), "'join'.*joins maps of other"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_level_that_is_not_tapped_is_named():
    backbone = from_keras(network("same"), {5: "level5"})
    features = backbone(keras.Input((None, None, 3)))
    with pytest.raises(ValueError, match=r"'same' has no features at level 2.*levels \[5\]"):
        features[2]
