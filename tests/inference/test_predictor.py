"""The predictor: equal to the network where it must be, to plain NumPy everywhere else."""

import tracemalloc

import keras
import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.evaluation import Predictor
from tests.fixtures.numpy_resize import resize

CLASSES = 4
SHAPES = [(1, 24, 40, 3), (2, 33, 21, 3)]


@pytest.fixture
def images():
    return np.random.default_rng(1).uniform(0, 255, (2, 24, 40, 3)).astype("float32")


def logits_of(model, images):
    return keras.ops.convert_to_numpy(model(images)["logits"])


def softmax(logits):
    exponents = np.exp(logits.astype("float64") - logits.max(-1, keepdims=True))
    return exponents / exponents.sum(-1, keepdims=True)


def scaled_pass(model, image, scale, size, mirrored=False):
    """One image's logits at one scale, resized to `size`, in float64."""
    height, width = (round(side * scale) for side in image.shape[:2])
    seen = resize(image, height, width).astype("float32")
    if mirrored:
        seen = seen[:, ::-1]
    logits = resize(logits_of(model, seen[None])[0], *size)
    return logits[:, ::-1] if mirrored else logits


@pytest.mark.parametrize("shape", SHAPES)
def test_one_scale_without_mirror_image_is_the_network_to_the_bit(model, shape):
    images = np.random.default_rng(0).uniform(0, 255, shape).astype("float32")
    expected = model.predict(images, verbose=0)["logits"]
    for average in ("logits", "probabilities"):
        predicted = Predictor(model, average=average)(images)
        np.testing.assert_array_equal(predicted.labels, expected.argmax(-1))
        np.testing.assert_allclose(predicted.confidence, softmax(expected).max(-1), rtol=1e-5)
        assert predicted.finite.all()
    np.testing.assert_array_equal(Predictor(model, average="logits").scores(images), expected)


@pytest.mark.parametrize("options", [{}, {"scales": (0.5, 1.5), "flip": True}])
@pytest.mark.parametrize("size", [None, (37, 61)])
def test_a_window_over_the_whole_image_is_none(model, images, options, size):
    height, width = (2 * side for side in images.shape[1:3])
    plain = Predictor(model, **options)
    windowed = Predictor(model, window=(height, width), blend="gaussian", **options)
    for first, second in zip(plain(images, size), windowed(images, size), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(plain.scores(images, size), windowed.scores(images, size))


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("flip", [False, True])
def test_scales_and_mirror_images_are_averaged(model, images, average, flip):
    size, scales = (30, 52), (0.5, 1.0, 1.75)
    predictor = Predictor(model, scales=scales, flip=flip, average=average)
    for image, scores, labels in zip(
        images, predictor.scores(images, size), predictor(images, size).labels, strict=True
    ):
        passes = [
            scaled_pass(model, image, scale, size, mirrored)
            for scale in scales
            for mirrored in ([False, True] if flip else [False])
        ]
        if average == "probabilities":
            passes = [softmax(logits) for logits in passes]
        np.testing.assert_allclose(scores, np.mean(passes, axis=0), atol=2e-5)
        np.testing.assert_array_equal(labels, scores.argmax(-1))


def naive_windows(model, image, window, stride, weight, average):
    """Blended scores of one image, window by window, over the whole image at once."""
    height, width = image.shape[:2]
    total, weights = np.zeros((height, width, CLASSES)), np.zeros((height, width, 1))
    starts = [
        sorted({min(k * step, side - size) for k in range(side)})
        for side, size, step in zip((height, width), window, stride, strict=True)
    ]
    for y in starts[0]:
        for x in starts[1]:
            place = np.s_[y : y + window[0], x : x + window[1]]
            scores = logits_of(model, image[place][None])[0]
            total[place] += weight * (scores if average == "logits" else softmax(scores))
            weights[place] += weight
    return total / weights


def gaussian(window):
    axes = [(np.arange(side) - (side - 1) / 2) / (side / 8) for side in window]
    profiles = [np.maximum(np.exp(-(axis**2) / 2), 1e-3) for axis in axes]
    return (profiles[0][:, None] * profiles[1])[..., None]


@pytest.mark.parametrize("blend", ["uniform", "gaussian"])
@pytest.mark.parametrize(
    ("window", "stride"), [((12, 16), (8, 11)), ((24, 9), (24, 4)), ((11, 40), (11, 40))]
)
def test_windows_equal_a_loop(model, images, window, stride, blend):
    weight = gaussian(window) if blend == "gaussian" else np.ones((*window, 1))
    for average in ("logits", "probabilities"):
        predictor = Predictor(
            model, window=window, stride=stride, blend=blend, average=average, batch_size=3
        )
        scores = predictor.scores(images)
        for image, found in zip(images, scores, strict=True):
            expected = naive_windows(model, image, window, stride, weight, average)
            np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(predictor(images).labels, scores.argmax(-1))


@pytest.mark.parametrize("blend", ["uniform", "gaussian", "triangle"])
def test_windows_of_an_equivariant_network_equal_the_whole_away_from_their_edges(model, blend):
    """The fixture's two 3x3 convolutions see two pixels around each."""
    image = np.random.default_rng(2).uniform(0, 255, (1, 120, 151, 3)).astype("float32")
    window, stride, reach = (48, 64), (32, 41), 2
    predictor = Predictor(model, window=window, stride=stride, blend=blend, average="logits")
    inside = np.ones(image.shape[1:3], bool)
    for axis, (step, length) in enumerate(zip(stride, window, strict=True)):
        side = inside.shape[axis]
        for start in {min(k, side - length) for k in range(0, side, step)}:
            for edge in (
                *range(start, start + reach),
                *range(start + length - reach, start + length),
            ):
                inside[(slice(None),) * axis + (edge,)] = False
    assert inside.mean() > 0.6
    whole, blended = logits_of(model, image)[0], predictor.scores(image)[0]
    np.testing.assert_allclose(blended[inside], whole[inside], atol=1e-5)
    assert np.abs(blended - whole)[~inside].max() > 1e-2  # the padding that windows see


def test_large_images_pass_in_strips_and_bands(model):
    """Little memory for scores cuts the width too; nothing changes but the order of the work."""
    image = np.random.default_rng(3).uniform(0, 255, (1, 150, 300, 3)).astype("float32")
    options = {"window": (40, 50), "stride": (25, 30), "scales": (0.75, 1.3), "flip": True}
    wide, narrow = (
        Predictor(model, score_memory=memory, blend="gaussian", **options)
        for memory in (2**30, 300_000)
    )
    size = (170, 290)
    sizes = wide._scaled(image.shape[1:3])
    bands = [p._bands(size, sizes, [p._axes(s) for s in sizes]) for p in (wide, narrow)]
    assert bands[0] == 1 and bands[1] >= 3
    first, second = wide.scores(image, size), narrow.scores(image, size)
    np.testing.assert_allclose(first, second, atol=1e-6)
    np.testing.assert_allclose(first.sum(-1), 1.0, atol=1e-5)
    labels = wide(image, size).labels
    np.testing.assert_array_equal(labels, first.argmax(-1))


def test_memory_does_not_grow_with_classes_times_area():
    """Beside labels and confidences, an image four times as high takes no more."""
    classes, width = 96, 128
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(classes, 1)(inputs))
    predictor = Predictor(network, window=(48, 48), stride=(32, 32), batch_size=4)

    def beyond_the_result(height):
        image = np.zeros((1, height, width, 3), np.uint8)
        predictor(image)  # traces
        tracemalloc.start()
        result = predictor(image)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - result.labels.nbytes - result.confidence.nbytes

    low, high = beyond_the_result(192), beyond_the_result(768)
    assert high < 1.1 * low
    assert high < 0.4 * 768 * width * classes * 4  # what all scores would take


def test_small_images_are_filled_up_where_asked_for(model):
    image = np.random.default_rng(4).uniform(0, 255, (1, 20, 40, 3)).astype("float32")
    padded = np.empty((1, 32, 40, 3), "float32")
    padded[:] = (123.675, 116.28, 103.53)
    padded[:, :20] = image
    predictor = Predictor(model, window=(32, 32), stride=(20, 8), pad_to_window=True)
    weight = np.ones((32, 32, 1))
    expected = naive_windows(model, padded[0], (32, 32), (20, 8), weight, "probabilities")[:20]
    np.testing.assert_allclose(predictor.scores(image)[0], expected, atol=1e-5)
    shrunk = Predictor(model, window=(32, 32), stride=(20, 8))
    expected = naive_windows(model, image[0], (20, 32), (20, 8), weight[:20], "probabilities")
    np.testing.assert_allclose(shrunk.scores(image)[0], expected, atol=1e-5)


def test_images_of_other_channels():
    """Mirrored, and filled up to a window with the mean that the network expects."""
    inputs = keras.Input((None, None, 2))
    first = ctx.layers.NormalizeImages([300.0, 2.0], [90.0, 0.5])
    convolution = keras.layers.Conv2D(CLASSES, 3, padding="same")
    network = keras.Model(inputs, convolution(first(inputs)))
    image = np.random.default_rng(6).normal([300, 2], [90, 0.5], (1, 20, 40, 2)).astype("float32")
    both = [network(image), network(image[:, :, ::-1])[:, :, ::-1]]
    mirrored = Predictor(network, flip=True, average="logits").scores(image)
    np.testing.assert_allclose(mirrored, np.mean(both, axis=0), atol=1e-5)
    padded = np.full((1, 32, 40, 2), (300, 2), "float32")
    padded[:, :20] = image
    filled = Predictor(network, window=(32, 40), pad_to_window=True, average="logits")
    np.testing.assert_allclose(filled.scores(image), network(padded)[:, :20], atol=1e-5)
    with pytest.raises(ValueError, match=r"image 'a': .* \(height, width, 2\). Received: .*3\)"):
        filled.label(np.zeros((40, 40, 3)), name="a")


def test_a_network_of_one_size_takes_any_image_in_windows():
    inputs = keras.Input((16, 24, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(CLASSES, 1)(inputs / 255.0))
    image = np.random.default_rng(5).uniform(0, 255, (1, 12, 61, 3)).astype("float32")
    labels = Predictor(network, window=(16, 24))(image).labels
    kernel, bias = (keras.ops.convert_to_numpy(v) for v in network.trainable_variables)
    expected = (image / 255.0) @ kernel[0, 0] + bias
    np.testing.assert_array_equal(labels, expected.argmax(-1))
    with pytest.raises(ValueError, match=r"0 of the batch.*takes images of 16x24.*12x61"):
        Predictor(network)(image)
    with pytest.raises(ValueError, match=r"scale 0.5: the model takes images of 16x24"):
        Predictor(network, scales=(0.5,))(image)


def test_one_graph_serves_every_size(model):
    predictor = Predictor(model, scales=(0.5, 1.0), window=(16, 20), flip=True)
    for height, width in ((30, 40), (31, 20), (16, 50)):
        predictor(np.zeros((1, height, width, 3), "float32"), (height + 3, width))
    assert predictor.passes.scores.experimental_get_tracing_count() == 1


def test_logits_that_are_not_finite_are_told(model, images):
    model.get_layer("logits").bias.assign([0.0, np.inf, 0.0, 0.0])
    for options in ({}, {"scales": (1.0, 2.0)}, {"window": (12, 12), "average": "logits"}):
        assert not Predictor(model, **options)(images).finite.any()


def test_presets_and_errors(model):
    encnet = ctx.evaluation.named_protocol("encnet", (480, 480))
    assert encnet.scales == (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    assert encnet.flip and encnet.window == (480, 480) and encnet.stride == (320, 320)
    assert ctx.evaluation.named_protocol("whole_image").is_plain
    for options, message in (
        ({"scales": ()}, r"`scales`: expected one factor or more.*\(\)"),
        ({"scales": (1.0, 0.0)}, "`scales`"),
        ({"average": "probability"}, "`average`.*Did you mean 'probabilities'"),
        ({"window": (64, 64), "stride": (65, 20)}, "`stride`: expected at most the window"),
        ({"stride": (20, 20)}, "`stride`: expected None where there is no `window`"),
        ({"window": (0, 5)}, "`window`: expected height and width"),
    ):
        with pytest.raises(ValueError, match=message):
            Predictor(model, **options)
    with pytest.raises(ValueError, match="`protocol`.*'encent'.*Did you mean 'encnet'"):
        ctx.evaluation.named_protocol("encent")
    with pytest.raises(ValueError, match="`crop_size`: expected the training crop"):
        ctx.evaluation.named_protocol("encnet")
    with pytest.raises(ValueError, match=r"`images`.*\(24, 40, 3\)"):
        Predictor(model)(np.zeros((24, 40, 3)))
