"""`python -m keras_ctxseg.doctor.smoke [--litert]`: the package at work, in a process of its own.

Prints one JSON line per check, as it is done: a process that dies says how far it came.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

SIZE = 33
CLASSES = 3


def checks(litert: bool) -> Iterator[tuple[str, Callable[[dict], str]]]:
    """Name and function of each check; a function takes and fills the parts made so far."""
    yield "import", _import
    yield "devices", _devices
    yield "build", _build
    yield "training step", _train
    yield "save and load", _save_and_load
    if litert:
        yield "LiteRT export", _export


def _import(parts: dict) -> str:
    import keras
    import tensorflow as tf

    from keras_ctxseg._version import __version__

    parts["folder"] = Path(tempfile.mkdtemp(prefix="ctxseg_doctor_"))
    return f"keras_ctxseg {__version__}, keras {keras.version()}, TF {tf.__version__}"


def _devices(parts: dict) -> str:
    import tensorflow as tf

    names = []
    for kind in ("CPU", "GPU", "TPU"):
        for device in tf.config.list_physical_devices(kind):
            details = tf.config.experimental.get_device_details(device)
            names.append(f"{kind} {details.get('device_name', '')}".strip())
    build = tf.sysconfig.get_build_info()
    cuda = build.get("cuda_version")
    return f"{', '.join(names)}; wheel {f'for CUDA {cuda}' if cuda else 'without CUDA'}"


def _build(parts: dict) -> str:
    import keras

    from keras_ctxseg.models.registry import build
    from keras_ctxseg.training.compilation import default_compile

    keras.utils.set_random_seed(0)
    model = build("fcn_mobilenet_v2", CLASSES, width=0.25, filters=8)
    # Fast enough that one step moves every weight by more than rounding.
    model.compile(**default_compile(model, learning_rate=0.1))
    parts["model"] = model
    return f"{model.name}, {model.count_params():,} parameters"


def _train(parts: dict) -> str:
    import numpy as np

    model = parts["model"]
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    labels = rng.integers(0, CLASSES, (2, SIZE, SIZE)).astype("int32")
    before = [variable.numpy() for variable in model.trainable_variables]
    loss = float(model.train_on_batch(images, labels, return_dict=True)["loss"])
    after = [variable.numpy() for variable in model.trainable_variables]
    moved = sum(bool(np.any(old != new)) for old, new in zip(before, after, strict=True))
    if not np.isfinite(loss) or not all(np.isfinite(values).all() for values in after):
        raise RuntimeError(f"the loss or a weight is no number: loss {loss}")
    if moved == 0:
        raise RuntimeError("no weight has moved")
    parts["images"] = images
    return f"loss {loss:.3f}, {moved} of {len(before)} weights moved"


def _save_and_load(parts: dict) -> str:
    import numpy as np

    from keras_ctxseg.runs.checkpoint import (
        TrainingState,
        check_whole,
        load_checkpoint,
        save_checkpoint,
    )

    model, images = parts["model"], parts["images"]
    path = parts["folder"] / "last.keras"
    save_checkpoint(model, path, TrainingState(epoch=0, step=1, step_in_epoch=1))
    check_whole(path)
    outputs = [
        each(images, training=False)["logits"].numpy() for each in (model, load_checkpoint(path))
    ]
    difference = float(np.abs(outputs[0] - outputs[1]).max())
    if not difference <= 1e-5:
        raise RuntimeError(f"the loaded model's logits differ by {difference:.1e}")
    return f"{path.stat().st_size / 2**20:.1f} MiB, logits differ by {difference:.0e}"


def _export(parts: dict) -> str:
    from keras_ctxseg.export.litert.export import export_litert

    path = parts["folder"] / "model.tflite"
    result = export_litert(parts["model"], path, (SIZE, SIZE))
    return f"{path.stat().st_size / 2**20:.1f} MiB, softmax differs by " \
        f"{result.parity.max_softmax_difference:.0e}"  # fmt: skip


def main() -> None:
    import shutil

    parts: dict = {}
    try:
        for name, check in checks(litert="--litert" in sys.argv[1:]):
            print(json.dumps({"begin": name}), flush=True)
            try:
                line = {"name": name, "found": check(parts)}
            except Exception as error:
                text = " ".join(str(error).split()) or type(error).__name__
                line = {"name": name, "error": f"{type(error).__name__}: {text}"}
            print(json.dumps(line), flush=True)
            if "error" in line:
                break
    finally:
        if "folder" in parts:
            shutil.rmtree(parts["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
