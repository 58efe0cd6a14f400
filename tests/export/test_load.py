"""An exported model as one object: SavedModels and their versions, LiteRT files, other things."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ctxseg.cli import main
from keras_ctxseg.export import ExportError, ServingModule, export_litert, export_saved_model
from keras_ctxseg.export.loading.load import load
from keras_ctxseg.export.saved_model.export import save_module
from tests.export.exporting import CLASS_NAMES, random_image, tiny_model

PALETTE = np.arange(15).reshape(5, 3) * 17
SIZES = [(40, 56), (40, 56), (33, 71), (90, 64), (40, 56)]


@pytest.fixture(scope="module")
def images():
    return [random_image(*size, seed=k) for k, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def saved_model(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("loaded") / "tiny"
    export_saved_model(model, folder, CLASS_NAMES, PALETTE, 254, version=9)
    shutil.copytree(folder / "9", folder / "10")
    (folder / ".tmp-of-another").mkdir()
    return folder


@pytest.fixture(scope="module")
def litert(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("loaded")
    for name, labels in (("logits", False), ("labels", True)):
        export_litert(
            model,
            folder / f"{name}.tflite",
            (40, 56),
            labels=labels,
            class_names=CLASS_NAMES,
            palette=PALETTE,
        )
    return folder


def labels_of(model, image, size=None):
    inputs = np.float32(image)[None]
    if size is not None:
        inputs = tf.round(tf.image.resize(inputs, size, antialias=True))
    logits = model(inputs, training=False)["logits"]
    return np.asarray(tf.image.resize(logits, image.shape[:2]))[0].argmax(-1)


def test_a_saved_model_labels_images_of_mixed_sizes(model, saved_model, images, tmp_path):
    loaded = load(saved_model)
    assert loaded.path == saved_model / "10"  # the newest, not the last by name
    assert loaded.class_names == CLASS_NAMES
    assert loaded.ignore_label == 254
    assert loaded.input_size is None
    np.testing.assert_array_equal(loaded.palette, PALETTE)
    path = tmp_path / "a.png"
    Image.fromarray(images[2]).save(path)
    found = loaded.predict([*images, path])
    assert all(labels.dtype == np.int32 for labels in found)
    for image, labels in zip([*images, images[2]], found, strict=True):
        # Folding may turn an exact tie.
        assert labels.shape == image.shape[:2]
        assert (labels == labels_of(model, image)).mean() > 0.999
    np.testing.assert_array_equal(load(saved_model / "9").predict(path)[0], found[2])
    np.testing.assert_array_equal(loaded.predict(np.stack(images[:2])), found[:2])


def test_neighbours_of_one_size_go_together(saved_model, images):
    loaded = load(saved_model)
    sizes = []
    segment = loaded.segment
    loaded.segment = lambda batch: sizes.append(batch.shape[:3]) or segment(batch)
    loaded.batch = 2
    assert len(loaded.predict([*images[:2], images[4], *images[2:4]])) == 5
    assert sizes == [(2, 40, 56), (1, 40, 56), (1, 33, 71), (1, 90, 64)]


@pytest.mark.parametrize("name", ["logits", "labels"])
def test_a_litert_file_resizes_to_its_size_and_back(model, litert, images, name):
    loaded = load(litert / f"{name}.tflite")
    assert loaded.input_size == (40, 56)
    assert loaded.class_names == CLASS_NAMES
    for image, labels in zip(images, loaded.predict(images), strict=True):
        assert labels.shape == image.shape[:2]
        expected = labels_of(model, image, (40, 56))
        # Class ids are resized by the nearest pixel: borders shift.
        limit = 0.999 if name == "logits" or image.shape[:2] == (40, 56) else 0.6
        assert (labels == expected).mean() > limit


def test_without_metadata_it_works_without_names(saved_model, litert, images, tmp_path):
    content = (litert / "logits.tflite").read_bytes()
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(content[: content.index(b"PK\x03\x04")])
    shutil.copytree(saved_model / "9", tmp_path / "bare")
    (tmp_path / "bare" / "assets.extra" / "labels.json").unlink()
    for path in (bare, tmp_path / "bare"):
        loaded = load(path)
        assert loaded.class_names is None
        assert loaded.palette is None
        assert loaded.predict(images[:1])[0].shape == (40, 56)


def test_what_cannot_be_loaded(saved_model, litert, tmp_path):
    with pytest.raises(ExportError, match="Nothing is there"):
        load(tmp_path / "missing")
    with pytest.raises(ExportError, match="Found no saved_model.pb"):
        load(tmp_path)
    shutil.copytree(saved_model / "9", tmp_path / "torn")
    graph = tmp_path / "torn" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:5000])
    with pytest.raises(ExportError, match="torn: cannot be loaded as a SavedModel"):
        load(tmp_path / "torn")
    foreign = tf.Module()
    foreign.double = tf.function(lambda x: {"y": 2 * x}, [tf.TensorSpec((None,), tf.float32)])
    tf.saved_model.save(foreign, str(tmp_path / "foreign"), signatures={"double": foreign.double})
    with pytest.raises(ExportError, match="with the signature 'labels'. Found: double"):
        load(tmp_path / "foreign")
    for length in (0, 300, 3000):
        torn = tmp_path / f"{length}.tflite"
        torn.write_bytes((litert / "logits.tflite").read_bytes()[:length])
        with pytest.raises(ExportError, match="cannot be loaded as a LiteRT file"):
            load(torn)


def test_a_saved_model_that_computes_no_numbers(images, tmp_path):
    broken = tiny_model()
    broken.get_layer("classifier").kernel.assign(np.full((1, 1, 8, 5), np.nan))
    save_module(ServingModule(broken), tmp_path / "1")
    with pytest.raises(ExportError, match="1: NaN or infinite scores: is it damaged"):
        load(tmp_path).predict(images[:1])


def test_what_is_no_image(saved_model, tmp_path):
    loaded = load(saved_model)
    with pytest.raises(ValueError, match=r"images\[1\]: expected a uint8 array.*float32 \(40, 56"):
        loaded.predict([random_image(40, 56), np.zeros((40, 56, 3), np.float32)])
    with pytest.raises(ValueError, match=r"image of 20x60: .*at least 33 pixels"):
        loaded.predict([random_image(20, 60)])
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match="text.png: expected a readable image"):
        loaded.predict(tmp_path / "text.png")


def test_the_command_labels_files_and_reports_the_bad_one(
    model, saved_model, images, tmp_path, capsys
):
    for k, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{k}.png")
    (tmp_path / "bad.png").write_bytes((tmp_path / "0.png").read_bytes()[:900])
    Image.fromarray(images[0][:20]).save(tmp_path / "small.png")
    output = tmp_path / "out"
    arguments = ["predict", "--model", str(saved_model), str(tmp_path), "--output", str(output)]
    assert main([*arguments, "--format", "ids"]) == 1
    printed = capsys.readouterr()
    assert "bad.png: expected a complete image" in printed.err
    assert "small.png: image of 20x56" in printed.err
    assert f"{output / 'labels'}, 5 images" in printed.out
    found = load(saved_model).predict(images)
    for k, labels in enumerate(found):
        written = np.asarray(Image.open(output / "labels" / f"{k}.png"))
        np.testing.assert_array_equal(written, labels)
    assert not list(output.rglob(".tmp-*"))
    assert main([*arguments, "--scales", "0.5,1"]) == 2
    assert "go with a run" in capsys.readouterr().err
