"""Exports models as LiteRT files in several forms, or as ONNX, and compares them with Keras.

Presets with random weights, normalised by images of the embedded data set, at a small size:

    python scripts/litert_parity.py --presets "*_mobilenet_v2" --forms fp32 fp16 --size 65x97

Trained runs, on their own data, with mean IoU:

    python scripts/litert_parity.py --runs runs/context_scenes_* --forms fp32 fp16 full_int8

Random weights leave classes nearly tied, so that of other forms than fp32 the labels tell nothing:
presets are judged by the softmax there, trained runs by both. Deep networks with random weights
amplify rounding as well. So where a preset misses a limit, what is asked of it is that there be
nothing but rounding: an fp32 file must be about as near to the same network in float64 as Keras
is, and an fp16 file must give, to the last bit, what the fp32 file gives once its weights are
rounded to float16.

A model that fails, or that cannot be exported, is a row of the table, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

if TYPE_CHECKING:
    import keras


def main() -> int:
    """Exports one model after the other; a table at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--presets", nargs="+", metavar="PATTERN", help="as in `ctxseg list`")
    what.add_argument("--runs", nargs="+", metavar="RUN", help="folders of trained runs")
    parser.add_argument(
        "--forms", nargs="+", default=["fp32", "fp16"], metavar="FORM", help="of LiteRT, or onnx"
    )
    parser.add_argument("--size", default="65x97", metavar="HxW", help="of presets' images")
    parser.add_argument("--images", type=int, default=32, help="compared on (default: 32)")
    parser.add_argument("--output", type=Path, help="keep the files here")
    arguments = parser.parse_args()
    from keras_ctxseg.export.parity.report import parity_table

    with tempfile.TemporaryDirectory() as scratch:
        output = arguments.output or Path(scratch)
        exports = _of_runs(arguments, output) if arguments.runs else _of_presets(arguments, output)
        reports, notes, failed = {}, {}, False
        for name, result, rounding in exports:
            if isinstance(result, ValueError):
                notes[name] = f"not exported: {result}"
                failed = True
            else:
                reports[name] = result.parity
                notes[name] = rounding.line if rounding else ""
                failed |= not (result.parity.passed or (rounding and rounding.is_all))
                print(f"{name}: {result.parity}", file=sys.stderr, flush=True)
            if notes[name]:
                print(f"{name}: {notes[name]}", file=sys.stderr, flush=True)
    print(parity_table(reports))
    for name, note in notes.items():
        if note:
            print(f"| {name} | | | | | | | {note} |")
    return int(failed)


class Rounding(NamedTuple):
    """Whether rounding is all that a file differs by, and a line that says so."""

    is_all: bool
    line: str


def _of_runs(arguments: argparse.Namespace, output: Path) -> Iterator:
    from keras_ctxseg.cli._runs import open_run
    from keras_ctxseg.export.file_run import export_litert_forms, export_onnx_file
    from keras_ctxseg.runs.assembly import load_dataset
    from keras_ctxseg.runs.checkpoint import load_checkpoint

    for run in arguments.runs:
        opened = open_run(run)
        dataset = load_dataset(opened.config)
        model = load_checkpoint(opened.checkpoint, dataset.num_classes)
        for form in arguments.forms:
            export = replace(opened.config.export, litert_check_images=arguments.images)
            if form != "onnx":
                export = replace(export, litert_forms=(form,))
            config = replace(opened.config, export=export)
            try:
                if form == "onnx":
                    result = export_onnx_file(model, config, dataset, output, force=True)
                else:
                    (result,) = export_litert_forms(model, config, dataset, output, force=True)
            except ValueError as error:
                result = error
            yield f"{config.name} {form}", result, None


def _of_presets(arguments: argparse.Namespace, output: Path) -> Iterator:
    import keras
    from float64_reference import beside_float64

    import keras_ctxseg as ctx
    from keras_ctxseg.export.loading.resizing import resized_image

    size = tuple(int(side) for side in arguments.size.split("x"))
    dataset = ctx.data.load("context_scenes")
    images = [
        resized_image(example["image"], size)
        for example in dataset.examples("val").take(arguments.images).as_numpy_iterator()
    ]
    batch = np.stack(images[:8]).astype("float32")
    names = [name for pattern in arguments.presets for name in ctx.models.list_models(pattern)]
    for name in names:
        if name.startswith("encnet_cifar"):  # one label an image
            continue
        keras.utils.set_random_seed(0)
        model = ctx.models.build(name, num_classes=dataset.num_classes)
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.5
        for _ in range(6):  # Statistics of real images, or activations would run away.
            model(batch, training=True)
        for form in arguments.forms:
            path = output / f"{name}_{form}.{'onnx' if form == 'onnx' else 'tflite'}"
            try:
                if form == "onnx":
                    result = ctx.export.export_onnx(
                        model, path, size, check_images=images, force=True
                    )
                else:
                    result = ctx.export.export_litert(
                        model,
                        path,
                        size,
                        form=form,
                        check_images=images,
                        calibration_images=images,
                        force=True,
                    )
                if form not in ("fp32", "onnx"):
                    parity = replace(result.parity, label_agreement_limit=0.0)
                    result = replace(result, parity=parity)
                rounding = None
                if form == "fp32" and not result.parity.passed:
                    rounding = Rounding(*beside_float64(name, model, images, _batched(path)))
                elif form == "fp16" and not result.parity.passed:
                    rounding = _beside_rounded_weights(model, path, images)
            except ValueError as error:
                result, rounding = error, None
            yield f"{name} {form}", result, rounding


def _batched(path: Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    from keras_ctxseg.export.loading.litert_file import LitertFile

    file = LitertFile(path)
    return lambda batch: {"logits": np.stack([file(image) for image in batch])}


def _beside_rounded_weights(
    model: keras.Model, path: Path, images: Sequence[np.ndarray]
) -> Rounding:
    """Compares an fp16 file with an fp32 one whose weights are rounded to float16."""
    from ai_edge_litert.schema_py_generated import TensorType

    from keras_ctxseg.export.litert.convert import converted
    from keras_ctxseg.export.litert.graph import LitertGraph

    graph = LitertGraph(converted(model, *images[0].shape[:2], "fp32"))
    for tensor in graph.graph.tensors:
        buffer = graph.model.buffers[tensor.buffer]
        if tensor.type == TensorType.FLOAT32 and buffer.data is not None and len(buffer.data):
            values = np.frombuffer(bytes(buffer.data), np.float32)
            buffer.data = np.frombuffer(values.astype(np.float16).astype(np.float32), np.uint8)
    rounded = path.with_suffix(".rounded.tflite")
    rounded.write_bytes(graph.packed())
    ours, theirs = (_batched(each)(np.float32(images))["logits"] for each in (path, rounded))
    largest = float(np.abs(ours - theirs).max())
    line = f"beside fp32 with weights rounded to float16, logits differ by {largest:.1e} at most"
    return Rounding(largest == 0.0, line)


if __name__ == "__main__":
    sys.exit(main())
