"""Exports presets as SavedModels and compares their labels with Keras'.

    python scripts/check_presets.py                      # every preset, about half an hour
    python scripts/check_presets.py 'ksac_*' --images 4

Weights are random. So that they still tell pixels apart, BatchNormalization first takes its
statistics from the images, as in training. Each model is written, loaded again by TensorFlow, and
run on PNG files through `serving_default`. One line a preset; the exit code is 1 if one of them
agrees on fewer pixels than 99.99 %.
"""

import argparse
import gc
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.export import ServingModule
from keras_ctxseg.export.parity import synthetic_images
from keras_ctxseg.export.quiet import captured_noise

LIMIT = 0.9999
CLASSES = 19


def main() -> int:
    """Prints a table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern", nargs="?", default="*")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--size", type=int, default=129, help="height; images are wider by a third")
    arguments = parser.parse_args()
    names = [
        name
        for name in ctx.models.list_models(arguments.pattern)
        if not name.startswith("encnet_cifar")  # one label an image
    ]
    sizes = [
        (arguments.size + 8 * index, arguments.size * 4 // 3 + index)
        for index in range(arguments.images)
    ]
    images = synthetic_images(sizes, seed=1)
    failed = 0
    print(f"{'preset':34} {'agree':>10} {'classes':>7} {'most':>6} {'MB':>6} {'s':>5}")
    for name in names:
        start = time.perf_counter()
        agreement, used, most, megabytes = compare(name, images)
        failed += agreement < LIMIT
        print(
            f"{name:34} {100 * agreement:9.4f}% {used:7} {100 * most:5.1f}% {megabytes:6.1f}"
            f" {time.perf_counter() - start:5.0f}",
            flush=True,
        )
    print(f"{len(names)} presets, {failed} below {100 * LIMIT:g} %")
    return int(failed > 0)


def compare(name: str, images: list[np.ndarray]) -> tuple[float, int, float, float]:
    """Share of equal labels, classes that occur, share of the commonest, size of the export."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    model = ctx.models.build(name, CLASSES)
    calibrate(model, images)
    expected = [
        np.argmax(model(np.float32(image[np.newaxis]), training=False)["logits"][0], axis=-1)
        for image in images
    ]
    with tempfile.TemporaryDirectory(prefix="ctxseg-presets-") as folder:
        module = ServingModule(model)
        with captured_noise():
            tf.saved_model.save(module, folder, signatures=module.signatures())
        megabytes = os.path.getsize(os.path.join(folder, "saved_model.pb")) / 1e6
        del model, module
        gc.collect()
        serve = tf.saved_model.load(folder).signatures["serving_default"]
        answer = serve(images=tf.stack([tf.io.encode_png(image) for image in images]))
    equal = total = 0
    for labels, wanted in zip(answer["labels"].numpy(), expected, strict=True):
        equal += np.count_nonzero(labels[: wanted.shape[0], : wanted.shape[1]] == wanted)
        total += wanted.size
    counts = np.bincount(np.concatenate([wanted.ravel() for wanted in expected]))
    return equal / total, np.count_nonzero(counts), counts.max() / total, megabytes


def calibrate(model: keras.Model, images: list[np.ndarray]) -> None:
    """Sets the moving statistics of every BatchNormalization to those of an image."""
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        norm.momentum = 0.0
    model(np.float32(images[0][np.newaxis]), training=True)


if __name__ == "__main__":
    sys.exit(main())
