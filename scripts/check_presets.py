"""Exports models as SavedModels, and prints how each compares with Keras on real images.

Every preset with random weights, on images of the embedded data set (an hour or two on two cores):

    python scripts/check_presets.py --presets "*"

Trained runs, each on images of its own validation split:

    python scripts/check_presets.py --runs runs/context_scenes_*

Each model is written, loaded again by a process that does not know this package, and run on PNG
files through `serving_default` and on floats through `float_images` (`ctx.export.check_parity`).
The exit code is 1 if one of them disagrees by more than an export may.

Random weights leave some classes nearly tied, which the order of float32 sums then decides: such
pixels are counted apart, as ties. So that presets tell pixels apart at all, BatchNormalization
first takes its statistics from images; the last two figures of a line are the number of classes
that occur, and the share of the commonest.

The deepest networks with random weights amplify the rounding of float32 beyond what an export may
differ by. Where a preset is refused, both sides are held to the same network in float64 instead:
the export passes if it is no further from that than Keras is, by a quarter at most.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from float64_reference import beside_float64

import keras_ctxseg as ctx
from keras_ctxseg.export.graph.freezing import frozen_forward
from keras_ctxseg.export.loading.resizing import resized_image
from keras_ctxseg.export.parity.report import parity_table

Case = tuple[str, keras.Model, list[np.ndarray], list[str], float]


def main() -> int:
    """Compares one model after the other; a table at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--presets", nargs="+", metavar="PATTERN", help="as in `ctxseg list`")
    what.add_argument("--runs", nargs="+", metavar="RUN", help="folders of trained runs")
    parser.add_argument("--images", type=int, default=32, help="compared on (default: 32)")
    parser.add_argument("--size", metavar="HxW", help="of presets' images; default: their own")
    arguments = parser.parse_args()
    reports, refused, failed = {}, {}, False
    for name, model, images, class_names, scale in (
        _of_runs(arguments) if arguments.runs else _of_presets(arguments)
    ):
        seen = _classes(model, images, scale)
        try:
            with tempfile.TemporaryDirectory(prefix="ctxseg-presets-") as folder:
                result = ctx.export.export_saved_model(
                    model,
                    os.path.join(folder, "model"),
                    class_names,
                    image_scale=scale,
                    check_images=images,
                    warm_up=0,
                )
            reports[name] = result.parity
            print(f"{name}: {result.parity}; {seen}", flush=True)
        except ctx.export.ExportError as error:
            print(f"{name}: {error}; {seen}", flush=True)
            refused[name] = str(error)
            if arguments.presets:
                is_rounding, line = beside_float64(name, model, images, frozen_forward(model))
                print(f"{name}: {line}", flush=True)
                refused[name] += f"; {line}"
                failed |= not is_rounding
            else:
                failed = True
        del model
        keras.utils.clear_session()
        gc.collect()
    print(parity_table(reports))
    for name, error in refused.items():
        print(f"| {name} | | | | | | | {error} |")
    return int(failed)


def _of_presets(arguments: argparse.Namespace) -> Iterator[Case]:
    dataset = ctx.data.load("context_scenes")
    examples = dataset.examples("val").take(arguments.images).as_numpy_iterator()
    images = [example["image"] for example in examples]
    if arguments.size:
        size = tuple(map(int, arguments.size.split("x")))
        images = [resized_image(image, size) for image in images]
    names = [name for pattern in arguments.presets for name in ctx.models.list_models(pattern)]
    for name in names:
        if name.startswith("encnet_cifar"):  # one label an image
            continue
        keras.utils.set_random_seed(0)
        model = ctx.models.build(name, dataset.num_classes)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        model(np.float32(images[:4]), training=True)
        yield name, model, images, dataset.class_names, 1.0


def _of_runs(arguments: argparse.Namespace) -> Iterator[Case]:
    from keras_ctxseg.cli._runs import open_run
    from keras_ctxseg.runs.assembly import load_dataset
    from keras_ctxseg.runs.checkpoint import load_checkpoint

    for run in arguments.runs:
        opened = open_run(run)
        data = opened.config.data
        dataset = load_dataset(opened.config)
        examples = dataset.examples(data.validation_split).as_numpy_iterator()
        images = [example["image"] for example in islice(examples, arguments.images)]
        model = load_checkpoint(opened.checkpoint, dataset.num_classes)
        yield opened.config.name, model, images, dataset.class_names, data.image_scale


def _classes(model: keras.Model, images: list[np.ndarray], scale: float) -> str:
    """Of a few images: how many classes the model sees in them, and the share of the commonest."""
    size = tuple(round(scale * side) for side in images[0].shape[:2])
    batch = np.stack([resized_image(image, size) for image in images[:4]])
    logits = keras.ops.convert_to_numpy(model(np.float32(batch), training=False)["logits"])
    counts = np.bincount(logits.argmax(axis=-1).ravel())
    return f"{np.count_nonzero(counts)} classes, {100 * counts.max() / counts.sum():.0f} %"


if __name__ == "__main__":
    sys.exit(main())
