"""Names, options and what is said when they are wrong."""

import numpy as np
import pytest

import keras_ctxseg as ctx
from tests.models.model_checks import build_small, shared_small


def test_list_models_filters_by_pattern():
    assert ctx.models.list_models("ksac_resnet??") == [
        "ksac_resnet18",
        "ksac_resnet34",
        "ksac_resnet50",
    ]
    assert ctx.models.list_models("ksac_resnet*_v2") == [
        "ksac_resnet101_v2",
        "ksac_resnet152_v2",
        "ksac_resnet50_v2",
    ]
    assert ctx.models.list_models("nothing*") == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: build_small("ksac_mobilenetv2"), "Did you mean 'ksac_mobilenet_v2'?"),
        (lambda: build_small("deeplab_resnet50"), "no model 'deeplab_resnet50'.*Did you mean"),
        (
            lambda: build_small("ksac_resnet18", rate=(1, 2)),
            "'ksac_resnet18' has no option 'rate'.*Did you mean 'rates'?",
        ),
        (lambda: build_small("fcn_resnet18", width=0.5), "has no option 'width'; its options are"),
        (
            lambda: ctx.models.build("fcn_resnet18", 0),
            "`num_classes` must be an integer of at least 1. Received: num_classes=0",
        ),
        (
            lambda: ctx.models.build("fcn_resnet18", 3, (32, 64, 3)),
            "`input_shape` must be images of at least 33 pixels.*Received: height=32, width=64",
        ),
        (
            lambda: ctx.models.build("fcn_resnet18", 3, (64, 64)),
            r"must be \(height, width, channels\). Received: input_shape=\(64, 64\)",
        ),
        (
            lambda: ctx.models.build("fcn_resnet18", 3, output_stride=12),
            r"`output_stride` must be one of \(8, 16, 32\). Received: output_stride=12",
        ),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_small_images_are_refused_at_run_time():
    model = shared_small("fcn_mobilenet_v2")
    with pytest.raises(ValueError, match="`images` must be images of at least 33 pixels"):
        model(np.zeros((1, 64, 32, 3), "float32"))


def _saved(model, path):
    (model.save if path.suffix == ".keras" else model.save_weights)(path)


@pytest.mark.parametrize("file", ["model.keras", "model.weights.h5"])
def test_weights_come_from_files_of_the_same_model(tmp_path, rng, file):
    model = shared_small("ksac_mobilenet_v2")
    images = rng.uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    _saved(model, tmp_path / file)
    loaded = build_small("ksac_mobilenet_v2", weights=tmp_path / file)
    np.testing.assert_array_equal(loaded(images)["logits"], model(images)["logits"])


@pytest.mark.parametrize(
    "file", ["model.keras", pytest.param("model.weights.h5", marks=pytest.mark.whole)]
)
def test_weights_of_another_number_of_classes(tmp_path, caplog, file):
    """All but the classifier's are taken over; of another network none."""
    model, path = shared_small("ksac_mobilenet_v2"), tmp_path / file
    _saved(model, path)
    other = ctx.models.build("ksac_mobilenet_v2", 7, width=0.35, filters=16, weights=path)
    assert f"{file} has another number of classes: logits_classifier kept" in caplog.text
    ours, theirs = ({w.path: np.array(w) for w in one.weights} for one in (other, model))
    assert {name for name in ours if ours[name].shape != theirs[name].shape} == {
        "logits_classifier/kernel", "logits_classifier/bias",
    }  # fmt: skip
    assert np.isfinite(ours["logits_classifier/kernel"]).all()
    for name, value in ours.items():
        if not name.startswith("logits_classifier"):
            np.testing.assert_array_equal(value, theirs[name])
    with pytest.raises(ValueError, match=f"{file}.*fit"):
        build_small("ksac_mobilenet_v2", width=0.5, weights=path)


def test_weights_from_nowhere(tmp_path):
    with pytest.raises(ValueError, match="does not exist: .*missing.keras"):
        build_small("ksac_mobilenet_v2", weights=tmp_path / "missing.keras")
    with pytest.raises(
        ValueError, match="must be None, 'imagenet', the path of.*Did you mean 'imagenet'?"
    ):
        build_small("ksac_mobilenet_v2", weights="imagnet")


def test_a_damaged_checkpoint_is_named(tmp_path):
    for name in ("broken.keras", "broken.weights.h5"):
        (tmp_path / name).write_bytes(b"not a checkpoint")
        with pytest.raises(ValueError, match=name):
            build_small("ksac_mobilenet_v2", weights=tmp_path / name)
