"""Exported files label images where Keras, or TensorFlow too, is not installed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.export.loading.onnx_file import DETAILS_KEY

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "saved_models" / "context_scenes_ksac"
SIZE = (96, 128)
CHILD = """
import json, sys
blocked, library, model, *arguments = sys.argv[1:]
sys.modules.update(dict.fromkeys(blocked.split(",")))  # None: importing it raises
sys.argv[0] = "python" if library else "ctxseg"
if library:
    import keras_ctxseg as ctx
    loaded = ctx.export.load(model)
    images, output = arguments
    palette = ctx.data.palettes.default_palette(len(loaded.class_names))
    ctx.prediction.predict_exported(loaded, images, output, palette, loaded.class_names)
else:
    from keras_ctxseg.cli import main
    images, output = arguments
    assert main(["predict", "--model", model, images, "--output", output]) == 0
assert not [name for name in blocked.split(",") if sys.modules[name] is not None]
print(json.dumps([name for name in sys.modules if name.startswith("keras_ctxseg.")]))
"""


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture
def label(image, tmp_path):
    """`label(model, blocked, library)`: class ids by a process without some packages."""
    Image.fromarray(image).save(tmp_path / "a.png")

    def run(model, blocked, library=False):
        output = tmp_path / ("library" if library else "command")
        child = subprocess.run(
            [
                *(sys.executable, "-c", CHILD, ",".join(blocked), "library" * library),
                *map(str, (model, tmp_path / "a.png", output)),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert child.returncode == 0, child.stderr
        modules = json.loads(child.stdout.splitlines()[-1])
        return np.asarray(Image.open(output / "labels" / "a.png")), modules

    return run


@pytest.fixture
def onnx_file(rng, tmp_path):
    """A linear classifier of pixels, `(path, weights)`."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    weights = rng.normal(size=(3, 4)).astype(np.float32)
    form = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["images", "weights"], ["logits"])],
        "linear",
        [onnx.helper.make_tensor_value_info("images", form, (1, *SIZE, 3))],
        [onnx.helper.make_tensor_value_info("logits", form, (1, *SIZE, 4))],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9
    )
    names = {"model": "linear", "form": "fp32", "description": "", "class_names": [*"abcd"]}
    onnx.helper.set_model_props(model, {DETAILS_KEY: json.dumps({**names, "in_float": []})})
    path = tmp_path / "linear.onnx"
    path.write_bytes(model.SerializeToString())
    return path, weights


@pytest.mark.parametrize("library", [False, True])
def test_a_litert_file_needs_neither_keras_nor_tensorflow(label, image, library):
    from ai_edge_litert.interpreter import Interpreter

    (path,) = SHIPPED.glob("*.tflite")
    labels, modules = label(path, ["keras", "tensorflow"], library)
    runner = Interpreter(str(path)).get_signature_runner()
    np.testing.assert_array_equal(labels, runner(images=image[None])["labels"][0])
    assert len(modules) < 70
    rooms = {name.split(".")[1] for name in modules}
    assert not rooms & {"layers", "backbones", "heads", "runs", "training", "evaluation"}


def test_an_onnx_file_needs_neither_keras_nor_tensorflow(label, image, onnx_file):
    path, weights = onnx_file
    blocked = ["keras", "tensorflow", "tf2onnx", "onnx"]
    expected = (image.astype(np.float32) @ weights).argmax(axis=-1)
    for library in (False, True):
        np.testing.assert_array_equal(label(path, blocked, library)[0], expected)


def test_a_saved_model_needs_tensorflow_alone(label, image):
    import tensorflow as tf

    labels, _ = label(SHIPPED, ["keras", "tf_keras"])
    segment = tf.saved_model.load(str(SHIPPED / "1")).signatures["labels"]
    expected = segment(images=tf.constant(image[None], tf.float32))["labels"][0]
    np.testing.assert_array_equal(labels, expected)
