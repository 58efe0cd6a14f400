import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ctxseg.export import ServingModule
from tests.export.exporting import random_image


@pytest.fixture(scope="module")
def serving(model):
    return ServingModule(model, ignore_label=200)


def encode(image, file_format="PNG", mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, file_format, **options)
    return buffer.getvalue()


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

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ([b"GIF89a" + bytes(40)], "expected the bytes of a JPEG or PNG file"),
            ([b""], "expected the bytes of a JPEG or PNG file"),
            ([], "Received an empty batch"),
            ([encode(random_image(32, 80))], r"at least 33 pixels a side[\s\S]*\[32 80\]"),
            ([encode(random_image(60, 60))[:200]], "."),
        ],
        ids=["gif", "empty file", "empty batch", "small", "truncated"],
    )
    def test_refusals(self, serving, files, message):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            serving.segment_files(tf.constant(files, tf.string, (len(files),)))


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
