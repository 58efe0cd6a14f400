"""The export in TensorFlow's own C++ loader, as TensorFlow Serving loads it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.export import ServingModule
from keras_ctxseg.export.graph import freezing
from keras_ctxseg.export.saved_model.export import save_module
from tests.export.encoded_files import encode
from tests.export.exporting import CLASS_NAMES, random_image

CHILD = Path(__file__).with_name("c_api_child.py")
LIBRARIES = Path(tf.sysconfig.get_lib())


@pytest.mark.skipif(
    not list(LIBRARIES.glob("libtensorflow_cc.so*")), reason="the wheel has no C API library"
)
def test_a_process_without_python_tensorflow_gets_keras_labels(model, tmp_path, monkeypatch):
    # The larger kernels are variables, as in a large network.
    monkeypatch.setattr(freezing, "_OWN_CONSTANT", 256)
    monkeypatch.setattr(freezing, "_MOST_CONSTANT", 2000)
    module = ServingModule(model, ignore_label=77, class_names=CLASS_NAMES)
    assert len(module.forward.weights) == 1
    save_module(module, tmp_path / "1")
    images = [random_image(45, 60), random_image(64, 39, seed=1)]
    files = [encode(images[0], "JPEG"), encode(images[1]), encode(images[0])[:700]]
    for index, file in enumerate(files):
        (tmp_path / f"{index}.bin").write_bytes(file)
    (tmp_path / "names.json").write_text(json.dumps(tensor_names(tmp_path / "1")))
    child = subprocess.run(
        [sys.executable, CHILD, LIBRARIES, tmp_path / "1", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-800:]

    labels = np.load(tmp_path / "labels.npy")
    assert np.load(tmp_path / "sizes.npy").tolist() == [[45, 60], [64, 39], [0, 0]]
    errors = json.loads((tmp_path / "errors.json").read_text())
    assert errors[:2] == ["", ""]
    assert errors[2] == "this PNG file is damaged or cut off: it cannot be decoded"
    images[0] = tf.io.decode_jpeg(files[0], dct_method="INTEGER_ACCURATE").numpy()
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        logits = model(np.float32(image[np.newaxis]), training=False)["logits"][0]
        expected = np.argmax(logits, axis=-1)
        assert np.mean(labels[index, :height, :width] == expected) >= 0.9999
        assert (labels[index, height:] == 77).all()
        assert (labels[index, :, width:] == 77).all()
    assert (labels[2] == 77).all()


def tensor_names(saved_model):
    """The names of the tensors behind `serving_default`, read from the file."""
    from tensorflow.core.protobuf import saved_model_pb2

    stored = saved_model_pb2.SavedModel()
    stored.ParseFromString((saved_model / "saved_model.pb").read_bytes())
    (meta_graph,) = stored.meta_graphs
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    signature = meta_graph.signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    infos = {**signature.inputs, **signature.outputs}
    return {name: info.name for name, info in infos.items()}
