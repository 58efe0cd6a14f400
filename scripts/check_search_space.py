"""Builds random samples of the search space and compares each with what its table says.

    python scripts/check_search_space.py --samples 10000 [--first 0] [--seed 0]

Each network is built by Keras, at a small width, and its parameters are counted; sample k of a seed
is always the same, so that a long check can be cut into pieces with --first. Layers and parameters
are the same on every backend of Keras, and NumPy makes the weights three times as fast as
TensorFlow; KERAS_BACKEND=tensorflow chooses that one.
"""

import argparse
import gc
import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "numpy")

import keras
import numpy as np
from tqdm import tqdm

import keras_ctxseg as ctx

OPTIONS = {"width": 0.07, "filters": 8, "rates": (1, 2)}


def check(seed: int, number: int, space: ctx.search.SearchSpace) -> str | None:
    """Builds one sample; what is wrong with it, or None."""
    genes = space.random(np.random.default_rng([seed, number]))
    topology = space.decode(genes)
    expected = ctx.search.count_cost(topology, "s49s", 3, (64, 64), OPTIONS)
    model = ctx.models.build("spinenet_seg_s49s", 3, **OPTIONS, **topology.options)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    found = (model.count_params(), trainable)
    if found == (expected.parameters, expected.trainable):
        return None
    return f"sample {number}: built {found}, counted {expected}: {topology.signature}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first sample")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    space = ctx.search.SearchSpace(finest_levels=(2, 3, 4), extra_levels=(0, 1, 2))
    began, wrong = time.process_time(), []
    last = arguments.first + arguments.samples
    gc.disable()  # It would go through all of Keras' objects, many times a network.
    for number in tqdm(range(arguments.first, last), disable=None, unit="network"):
        problem = check(arguments.seed, number, space)
        if problem is not None:
            wrong.append(problem)
            tqdm.write(problem)
        if number % 20 == 0:
            keras.backend.clear_session()  # Collects the networks, too.
    seconds = time.process_time() - began
    print(
        f"{arguments.samples} networks of seed {arguments.seed}, samples {arguments.first} to "
        f"{last - 1}, built in {seconds:.0f} CPU seconds; {len(wrong)} differ from their tables"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
