"""The signature `panoptic` against the evaluator's own predictor."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.data.resampling import scale_image
from keras_ctxseg.export import ServingModule, export_saved_model
from keras_ctxseg.export.saved_model.panoptic_serving import panoptic_signature
from keras_ctxseg.inference import PanopticPredictor
from keras_ctxseg.labels.panoptic import INSTANCE_OUTPUTS
from keras_ctxseg.layers import ResizeLike
from keras_ctxseg.panoptic.options import GroupingOptions

CLASSES, THINGS, SIZE = 4, (1, 3), (70, 90)


@pytest.fixture
def model():
    """Random convolutions, coarse as those of a network, with heat maps of a few dozen peaks."""
    keras.utils.set_random_seed(3)
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 128, offset=-1)(images)
    x = keras.layers.Conv2D(8, 7, strides=4, padding="same")(x)

    def output(name, channels):
        y = keras.layers.Conv2D(channels, 3, padding="same")(x)
        return ResizeLike(dtype="float32", name=name)(y, images)

    sizes = {"logits": CLASSES, "center_heatmap": 1, "center_offsets": 2}
    return keras.Model(images, {name: output(name, count) for name, count in sizes.items()})


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_signature_is_what_evaluation_scores(rng, model, tmp_path, scale):
    images = rng.uniform(0, 255, (3, *SIZE, 3)).astype("float32")
    options = GroupingOptions(max_instances=25, min_stuff_area=40)
    module = ServingModule(
        model,
        image_scale=scale,
        outputs=INSTANCE_OUTPUTS,
        extra=panoptic_signature(THINGS, options),
    )
    assert "panoptic" in panoptic_signature(THINGS, options)(module)
    # Saved without the other signatures, which take their time.
    holder = tf.Module()
    holder.panoptic = module.panoptic
    signatures = {"panoptic": module.panoptic.get_concrete_function()}
    tf.saved_model.save(holder, str(tmp_path), signatures=signatures)
    served = tf.saved_model.load(str(tmp_path)).signatures["panoptic"](images=tf.constant(images))

    seen = np.stack([scale_image(image, scale) for image in images])
    expected = PanopticPredictor(model, THINGS, options=options)(seen, SIZE)
    for k, segments in enumerate(expected.segments):
        count = int(served["counts"][k])
        assert count == len(segments.areas) > 5
        # Folded convolutions round differently, by which a pixel on a border may change sides.
        assert (served["segment_ids"][k].numpy() == segments.ids).mean() > 0.999
        np.testing.assert_array_equal(served["categories"][k, :count], segments.categories)
        np.testing.assert_allclose(served["areas"][k, :count], segments.areas, atol=6)
        np.testing.assert_allclose(served["scores"][k, :count], segments.scores, atol=0.02)
        assert (served["categories"][k, count:].numpy() == -1).all()
        assert served["scores"].shape == (3, 25 + CLASSES)


def test_exports_of_models_without_centres_say_so(model, tmp_path):
    plain = keras.Model(model.inputs, {"logits": model.output["logits"]})
    with pytest.raises(ValueError, match="`model` must put out 'center_heatmap'"):
        export_saved_model(plain, tmp_path / "m", list("abcd"), thing_classes=THINGS)


def test_export_has_the_signature(rng, model, tmp_path):
    export = export_saved_model(model, tmp_path / "m", list("abcd"), thing_classes=THINGS)
    loaded = tf.saved_model.load(str(export.path))
    assert {"serving_default", "panoptic"} <= set(loaded.signatures)
    image = rng.uniform(0, 255, (1, *SIZE, 3)).astype("float32")
    found = loaded.signatures["panoptic"](images=tf.constant(image))
    assert int(found["counts"][0]) == int(found["segment_ids"].numpy().max()) > 5
