"""MediaPipe's ImageSegmenter, in the environment that `make test-all` makes for such clients."""

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.export import export_litert
from keras_ctxseg.export.loading.load import load
from keras_ctxseg.export.parity.check import synthetic_images
from tests.export.exporting import CLASS_NAMES

pytestmark = pytest.mark.whole
ROOT = Path(__file__).parents[2]
# MediaPipe needs another absl than tf-models-official allows.
PYTHON = Path(os.environ.get("CTXSEG_CLIENTS", ROOT / ".venv" / "clients")) / "bin" / "python"
SHIPPED = sorted((ROOT / "saved_models").glob("*/*.tflite"))
SIZE = (40, 56)


@pytest.fixture(scope="module")
def snippet():
    """The guide's lines, and what they found into a file."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "litert.md").read_text(), re.S)
    (lines,) = [block for block in blocks if "mediapipe" in block]
    return lines + (
        "    import numpy as np\n"
        "    confidence = np.stack(masks, -1)\n"
        "    np.savez('found.npz', ids=ids, confidence=confidence, names=segmenter.labels)\n"
    )


@pytest.fixture(scope="module", autouse=True)
def _mediapipe():
    if not PYTHON.exists() or subprocess.run([PYTHON, "-c", "import mediapipe"]).returncode:
        pytest.skip(f"{PYTHON} has no mediapipe: `make test-all` installs it")


def check(path, image, snippet, folder):
    """MediaPipe's masks beside the labels of the package's own runner."""
    (folder / "model.tflite").write_bytes(path.read_bytes())
    Image.fromarray(image).save(folder / "photo.png")
    child = subprocess.run(
        [PYTHON, "-c", snippet], cwd=folder, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    found = np.load(folder / "found.npz")
    loaded = load(path)
    (labels,) = loaded.predict([image])
    assert len(np.unique(labels)) > 1
    assert found["ids"].shape == labels.shape
    assert (found["ids"] == labels).mean() >= 0.999
    assert found["names"].tolist() == loaded.class_names
    confidence = found["confidence"]
    assert confidence.shape == (*labels.shape, len(loaded.class_names))
    np.testing.assert_allclose(confidence.sum(-1), 1, atol=1e-5)
    assert (confidence.argmax(-1) == labels).mean() >= 0.999
    return confidence


@pytest.mark.parametrize("labels", [False, True], ids=["logits", "labels"])
@pytest.mark.parametrize("form", ["fp32", "fp16", "dynamic", "int8", "full_int8"])
def test_its_masks_are_the_files_labels(model, form, labels, snippet, tmp_path):
    photos = synthetic_images([SIZE] * 32, seed=5)
    export = export_litert(
        model,
        tmp_path / "exported.tflite",
        SIZE,
        form=form,
        labels=labels,
        calibration_images=photos if "int8" in form else None,
        check_images=photos[:4],
        class_names=CLASS_NAMES,
        force=True,  # Random weights.
    )
    confidence = check(export.path, photos[0], snippet, tmp_path)
    logits = np.asarray(model(np.float32(photos[:1]), training=False)["logits"])[0]
    exponents = np.exp(logits - logits.max(-1, keepdims=True))
    expected = exponents / exponents.sum(-1, keepdims=True)
    # Scores are in steps of 1/16 where labels come with them; 8 bits are coarser.
    limit = 1e-4 if (form, labels) == ("fp32", False) else 0.04 if "int8" in form else 0.02
    assert np.abs(confidence - expected).mean() < limit


@pytest.mark.parametrize("path", SHIPPED, ids=[path.parent.name for path in SHIPPED])
def test_the_shipped_files(path, snippet, tmp_path):
    size = load(path).input_size
    check(path, synthetic_images([size], seed=1)[0], snippet, tmp_path)
