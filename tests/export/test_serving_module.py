import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ctxseg.export import ServingModule
from tests.export.encoded_files import encode
from tests.export.exporting import random_image


@pytest.fixture(scope="module")
def serving(model):
    return ServingModule(model, ignore_label=200)


def numpy_answer(model, image):
    """Labels and scores from Keras' own logits, softmax in float64."""
    logits = np.float64(model(np.float32(image[np.newaxis]), training=False)["logits"][0])
    softmax = np.exp(logits - logits.max(-1, keepdims=True))
    softmax /= softmax.sum(-1, keepdims=True)
    return softmax.argmax(-1), softmax.max(-1)


class TestSegmentFiles:
    sizes = ((40, 57), (33, 33), (70, 35))

    def test_mixed_batch_equals_keras_image_by_image(self, model, serving):
        images = [random_image(*size, seed=index) for index, size in enumerate(self.sizes)]
        outputs = serving.segment_files(tf.constant([encode(image) for image in images]))
        assert outputs["labels"].dtype == tf.int32
        assert outputs["labels"].shape == outputs["scores"].shape == (3, 70, 57)
        np.testing.assert_array_equal(outputs["sizes"], self.sizes)
        for index, (image, (height, width)) in enumerate(zip(images, self.sizes, strict=True)):
            labels, scores = numpy_answer(model, image)
            got = outputs["labels"][index].numpy()
            # Two classes may be equal to the last bit of float32; nothing else may differ.
            assert np.mean(got[:height, :width] == labels) > 0.999
            np.testing.assert_allclose(
                outputs["scores"][index, :height, :width], scores, rtol=1e-5, atol=1e-6
            )
            inside = np.zeros(got.shape, bool)
            inside[:height, :width] = True
            assert (got[~inside] == 200).all()
            assert (outputs["scores"][index].numpy()[~inside] == 0).all()

    def test_a_batch_changes_no_image(self, serving):
        files = [encode(random_image(*size, seed=9)) for size in self.sizes]
        batch = serving.segment_files(tf.constant(files))
        for index, (file, (height, width)) in enumerate(zip(files, self.sizes, strict=True)):
            alone = serving.segment_files(tf.constant([file]))
            for name in ("labels", "scores"):
                np.testing.assert_array_equal(
                    alone[name][0], batch[name][index, :height, :width], name
                )

    @pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
    def test_every_png_kind_reads_as_pillow_reads_it(self, model, serving, mode):
        image = random_image(36, 44)
        if mode == "RGBA":
            image = np.dstack([image, random_image(36, 44, seed=1)[..., :1]])
        file = encode(image, mode=mode)
        rgb = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        _, scores = numpy_answer(model, rgb)
        outputs = serving.segment_files(tf.constant([file]))
        np.testing.assert_allclose(outputs["scores"][0], scores, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_jpeg_reads_as_pillow_reads_it(self, model, serving, mode):
        smooth = np.linspace(0, 255, 50 * 41 * 3).reshape(50, 41, 3).astype("uint8")
        file = encode(smooth, "JPEG", mode=mode, quality=95)
        rgb = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        _, scores = numpy_answer(model, rgb)
        outputs = serving.segment_files(tf.constant([file]))
        np.testing.assert_allclose(outputs["scores"][0], scores, rtol=1e-5, atol=1e-6)

    def test_an_empty_batch_is_refused(self, serving):
        with pytest.raises(tf.errors.InvalidArgumentError, match="Received an empty batch"):
            serving.segment_files(tf.constant([], tf.string, (0,)))

    def test_class_names_stand_beside_each_image(self, model):
        named = ServingModule(model, class_names=["sky", "road", "boat", "car", "straße"])
        outputs = named.segment_files(tf.constant([encode(random_image(40, 40))] * 2))
        names = [name.decode() for name in outputs["class_names"][1].numpy()]
        assert outputs["class_names"].shape == (2, 5)
        assert names == ["sky", "road", "boat", "car", "straße"]


class TestImageScale:
    def test_the_model_sees_scaled_images_and_answers_at_their_own_size(self, model):
        image = np.float32(random_image(80, 95)[np.newaxis])
        serving = ServingModule(model, image_scale=0.5)
        outputs = serving.segment_floats(image)
        half = tf.image.resize(image, (40, 48))  # 47.5 rounds to the even 48
        logits = tf.image.resize(model(half, training=False)["logits"], (80, 95))
        np.testing.assert_allclose(outputs["logits"], logits, atol=1e-4)
        np.testing.assert_array_equal(outputs["labels"], np.argmax(outputs["logits"], -1))

    def test_the_smallest_size_counts_after_scaling(self, model):
        serving = ServingModule(model, image_scale=0.5)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"scaling by 0\.5"):
            serving.segment_floats(tf.zeros((1, 64, 80, 3)))


class TestFloatImages:
    def test_labels_alone_are_those_of_the_logits(self, model):
        images = np.float32([random_image(45, 60), random_image(45, 60, seed=1)])
        serving = ServingModule(model, image_scale=0.75)
        both = serving.segment_floats(images)
        logits = serving.logits(images)["logits"]
        alone = serving.labels(images)
        np.testing.assert_array_equal(logits, both["logits"])
        assert np.mean(alone["labels"] == both["labels"]) > 0.999  # ties in the last bit
        softmax = tf.nn.softmax(logits).numpy().max(axis=-1)
        np.testing.assert_allclose(alone["scores"], softmax, rtol=1e-4)

    @pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
    def test_numbers_that_are_not_finite_are_refused(self, serving, number):
        images = np.float32([random_image(45, 60), random_image(45, 60)])
        images[1, 44, 0, 2] = number
        for answer in (serving.segment_floats, serving.logits, serving.labels):
            with pytest.raises(tf.errors.InvalidArgumentError, match="expected finite numbers"):
                answer(images)

    def test_images_beyond_the_limit_are_refused(self, model):
        serving = ServingModule(model, max_pixels=50 * 50)
        assert serving.labels(tf.zeros((2, 100, 100, 3)))["labels"].shape == (2, 100, 100)
        for answer in (serving.segment_floats, serving.logits, serving.labels):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 10000 pixels each"):
                answer(tf.zeros((1, 100, 101, 3)))

    def test_a_family_adds_a_signature(self, model):
        def extra(module):
            @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))])
            def both(images):
                return module.forward(images)

            return {"both": both.get_concrete_function()}

        serving = ServingModule(model, outputs=["aux_logits"], extra=extra)
        images = np.float32([random_image(45, 60)])
        got = serving.signatures()["both"](tf.constant(images))
        expected = model(images, training=False)
        for name in ("logits", "aux_logits"):
            np.testing.assert_allclose(got[name], expected[name], rtol=1e-4, atol=1e-3)


def test_bfloat16_rounds_and_no_more(model):
    images = np.float32([random_image(60, 80)])
    plain = ServingModule(model)
    exact = plain.logits(images)["logits"].numpy()
    rounded = ServingModule(model, precision="mixed_bfloat16")
    types = {
        (node.op, node.attr["T"].type)
        for node in rounded.forward.graph_def.node
        if node.op in ("Conv2D", "BiasAdd", "Relu")
    }
    assert {kind for _, kind in types} == {tf.bfloat16.as_datatype_enum}
    got = rounded.logits(images)["logits"].numpy()
    # Eight bits of mantissa: a relative error of 2^-9 an operation, and cancellation.
    assert 0 < np.abs(got - exact).max() < 0.05 * np.abs(exact).max()
    assert np.mean(got.argmax(-1) == exact.argmax(-1)) > 0.97
