"""Measures what labels of a large image take, beyond a loaded and warmed-up SavedModel.

    python scripts/label_memory.py saved_models/NAME/VERSION --size 1024x2048

Sends one small image first, after which the graph is optimised and the weights are in their place;
then the large one through the signature `labels`. Linux only (/proc).
"""

import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from keras_ctxseg.costs.memory_child import peak, reset_peak, resident


def main() -> int:
    """Prints two figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saved_model")
    parser.add_argument("--size", default="1024x2048")
    parser.add_argument("--signature", default="labels", choices=["labels", "logits"])
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    serve = tf.saved_model.load(arguments.saved_model).signatures[arguments.signature]
    random = np.random.default_rng(0)
    serve(images=tf.constant(random.uniform(0, 255, (1, 64, 64, 3)), tf.float32))
    images = tf.constant(random.uniform(0, 255, (1, height, width, 3)), tf.float32)
    reset_peak()
    before = resident()
    serve(images=images)
    print(
        f"{arguments.signature} of {height}x{width}: {(peak() - before) / 2**20:.0f} MiB beyond the"
        f" {before / 2**20:.0f} MiB of libraries, weights and the image"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
