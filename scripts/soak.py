"""Sends thousands of requests to an exported SavedModel and watches its memory.

    python scripts/soak.py saved_models/NAME/VERSION --requests 5000

Each request is one to three images of random sizes, PNG and JPEG, gray and RGB, and now and then a
damaged one, through `serving_default` as `tf.saved_model.load` gives it. Prints the resident memory
as it goes; the exit code is 1 if it is, at the end, more than 5 % above what it was after the
first 500 requests, or if a request failed.
"""

import argparse
import io
import os
import resource
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image
from tqdm import tqdm

SETTLED = 500  # requests after which memory should stay
LIMIT = 1.05


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("saved_model")
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--largest", type=int, default=160, help="longest side in pixels")
    arguments = parser.parse_args()
    serve = tf.saved_model.load(arguments.saved_model).signatures["serving_default"]
    random = np.random.default_rng(0)
    memory, images, errors = [], 0, 0
    for number in tqdm(range(arguments.requests), unit="request", mininterval=5):
        files = [file(random, arguments.largest) for _ in range(random.integers(1, 4))]
        answer = serve(images=tf.constant(files))
        images += len(files)
        errors += np.count_nonzero(answer["errors"].numpy() != b"")
        if number % 100 == 99:
            memory.append(resident())
    settled = memory[SETTLED // 100 - 1] if len(memory) > SETTLED // 100 else memory[0]
    growth = max(memory[SETTLED // 100 :] or memory) / settled
    print(
        f"{arguments.requests} requests, {images} images, {errors} of them refused;"
        f" resident {settled / 2**20:.0f} MiB after {SETTLED},"
        f" {memory[-1] / 2**20:.0f} MiB at the end, at most {100 * (growth - 1):+.1f} %"
    )
    return int(growth > LIMIT)


def file(random: np.random.Generator, largest: int) -> bytes:
    """An image file; one in fifty is cut off."""
    height, width = random.integers(40, largest + 1, 2)
    small = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(small).resize((int(width), int(height)), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    mode = ["RGB", "RGB", "L"][random.integers(3)]
    picture.convert(mode).save(buffer, ["PNG", "JPEG"][random.integers(2)])
    content = buffer.getvalue()
    return content[: len(content) // 2] if random.integers(50) == 0 else content


def resident() -> int:
    """Bytes resident now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
