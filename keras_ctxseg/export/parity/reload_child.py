"""Runs a SavedModel with TensorFlow alone; started by path, never imported by the package.

Arguments: the SavedModel, a directory with `image_0.npy`, `image_1.npy`, ..., their number, and
`file_0.png`, ... where the encoded images are others.
Writes `logits_0.npy`, `labels_0.npy`, `scores_0.npy`, ... into that directory.
"""

import sys
from pathlib import Path


def run(saved_model: str, exchange: str, count: int) -> None:
    """Runs floats one by one, and encoded images, where a signature takes them, as one batch."""
    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(saved_model)
    folder = Path(exchange)
    images = [np.load(folder / f"image_{index}.npy") for index in range(count)]
    segment_floats = loaded.signatures["float_images"]
    for index, image in enumerate(images):
        logits = segment_floats(images=tf.constant(image[np.newaxis], tf.float32))["logits"]
        np.save(folder / f"logits_{index}.npy", logits[0].numpy())
    default = loaded.signatures["serving_default"]
    if default.structured_input_signature[1]["images"].dtype == tf.string:
        stored = [folder / f"file_{index}.png" for index in range(count)]
        files = tf.stack(
            [
                tf.io.read_file(str(file)) if file.exists() else tf.io.encode_png(image)
                for file, image in zip(stored, images, strict=True)
            ]
        )
        answer = default(images=files)
        errors = [error.decode() for error in answer["errors"].numpy() if error]
        if errors:
            raise RuntimeError(errors[0])
        answers = [
            {name: answer[name][index, :height, :width] for name in ("labels", "scores")}
            for index, (height, width) in enumerate(answer["sizes"].numpy())
        ]
    else:
        floats = [tf.constant(image[np.newaxis], tf.float32) for image in images]
        answers = [
            {name: value[0] for name, value in default(images=image).items()} for image in floats
        ]
    for index, answer in enumerate(answers):
        for name in ("labels", "scores"):
            np.save(folder / f"{name}_{index}.npy", answer[name].numpy())


if __name__ == "__main__":
    # Python puts this file's folder first on the path, and its modules would hide others' names.
    sys.path.pop(0)
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    if "keras_ctxseg" in sys.modules:
        raise RuntimeError("loading the SavedModel imported keras_ctxseg")
