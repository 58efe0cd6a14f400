"""How long grouping and merging take for one image, and how much memory.

    python scripts/time_grouping.py --size 1024x2048 --instances 100

Things are boxes of random classes on a grid, with the targets of the truth for a network's outputs.
Timed is the graph that evaluation and the signature `panoptic` use, from classes, heat map and
offsets to segments. Memory is the peak of the process during the first call, beyond what it held.
"""

import argparse
import math
import resource
import time

import numpy as np
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.cli._runs import parse_size
from keras_ctxseg.losses.center_targets import find_instances, heatmap_targets, offset_targets

CLASSES, THINGS = 19, tuple(range(11, 19))


def scene(size: tuple[int, int], instances: int, share: float) -> np.ndarray:
    """A panoptic label map: `instances` boxes that cover about `share` of the image."""
    generator = np.random.default_rng(0)
    label = np.zeros(size, np.int32)
    columns = math.ceil(math.sqrt(instances * size[1] / size[0]))
    rows = math.ceil(instances / columns)
    height, width = size[0] // rows, size[1] // columns
    side = math.sqrt(share * size[0] * size[1] / (instances * height * width))
    for number in range(instances):
        top, left = number // columns * height, number % columns * width
        here = slice(top, top + round(side * height)), slice(left, left + round(side * width))
        label[here] = int(generator.choice(THINGS)) + 1024 * (number + 1)
    return label


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=parse_size, default=(1024, 2048), metavar="HEIGHTxWIDTH")
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--share", type=float, default=0.3, help="of the image that is things")
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    label = scene(arguments.size, arguments.instances, arguments.share)
    instances = find_instances(tf.constant(label[None]), 255)
    maps = (
        tf.constant(label % 1024),
        tf.ones(arguments.size),
        heatmap_targets(instances, 8.0)[0],
        offset_targets(instances)[0],
    )
    signature = [tf.TensorSpec((None, None, *each.shape[2:]), each.dtype) for each in maps]
    group = tf.function(
        lambda *parts: ctx.panoptic.merge_segments(*parts, CLASSES, THINGS),
        signature,
        autograph=False,
    )
    group.get_concrete_function()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = group(*maps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    seconds = []
    for _ in range(arguments.repeats):
        start = time.perf_counter()
        group(*maps).count.numpy()
        seconds.append(time.perf_counter() - start)
    print(
        f"{int(found.count)} segments in {arguments.size[0]}x{arguments.size[1]}: "
        f"{1000 * np.median(seconds):.0f} ms (median of {arguments.repeats}, "
        f"{1000 * min(seconds):.0f} to {1000 * max(seconds):.0f}), {peak / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    main()
