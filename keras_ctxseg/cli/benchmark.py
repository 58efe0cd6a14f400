"""`ctxseg benchmark`: what models, layers and the input pipeline cost, measured side by side."""

import argparse
import shlex
import sys
from pathlib import Path

from keras_ctxseg.benchmark.peers import is_peer
from keras_ctxseg.benchmark.subject import FORMS
from keras_ctxseg.cli._runs import parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="NAME", help="parameters, multiply-adds, latency, memory")
    what.add_argument("--layers", action="store_true", help="ASPP beside SharedKernelASPP")
    what.add_argument("--pipeline", metavar="CONFIG", help="images per second, beside training's")
    what.add_argument(
        "--page", metavar="FILE", type=Path, help="rebuild a page's tables from its JSON files"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="model options, or config keys"
    )
    parser.add_argument(
        "--size", type=parse_size, metavar="HxW", help="default: 512x512, layers 65x65"
    )
    parser.add_argument("--repeats", type=int, default=10, help="timed passes (default: 10)")
    parser.add_argument(
        "--form",
        choices=["frozen", "variables"],
        default="frozen",
        help="in this process: weights as constants or not",
    )
    model = parser.add_argument_group("with --model")
    model.add_argument("--output-stride", type=int, choices=[8, 16, 32])
    model.add_argument("--num-classes", type=int, default=21)
    model.add_argument("--no-memory", action="store_true", help="leave out peak memory")
    model.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="'NAME key=value ...'",
        help="another model measured in the same run, with options of its own; or a peer: in a "
        "checkout 'tf-models' or 'keras-hub', or the path of a peer's module (repeatable)",
    )
    model.add_argument(
        "--imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module or .py file first, as a recipe's `imports` does (repeatable)",
    )
    model.add_argument(
        "--forms",
        nargs="+",
        choices=FORMS,
        help="measure each of these in a process of its own, in turns with the others and with a "
        "large matrix product (default with a peer: saved_model)",
    )
    apart = parser.add_argument_group("in processes of their own (--forms, peers)")
    apart.add_argument("--batch", type=int, default=2, help="images of a training step (default 2)")
    apart.add_argument("--threads", type=int, help="of each process (default: all processors)")
    apart.add_argument("--exports", metavar="DIR", type=Path, help="keep exports, and reuse them")
    apart.add_argument("--json", metavar="FILE", type=Path, help="write all figures")
    apart.add_argument("--plot", metavar="FILE", type=Path, help="draw them (.png or .svg)")
    apart.add_argument(
        "--runs", nargs="+", default=[], metavar="RUN", help="evaluated runs: their mIoU is drawn"
    )
    layers = parser.add_argument_group("with --layers")
    layers.add_argument("--channels", type=int, default=2048)
    layers.add_argument("--filters", type=int, default=256)
    layers.add_argument("--rates", type=int, nargs="+", default=[6, 12, 18, 24])


def run(arguments: argparse.Namespace) -> int:
    if arguments.page:
        from keras_ctxseg.benchmark.page import rebuild

        print(f"{arguments.page}: {', '.join(rebuild(arguments.page))}")
    elif arguments.layers:
        _layers(arguments)
    elif arguments.pipeline:
        _pipeline(arguments)
    elif arguments.forms or _peers(arguments):
        _side_by_side(arguments)
    else:
        _model(arguments)
    return 0


def _peers(arguments: argparse.Namespace) -> list[str]:
    return [text for text in arguments.against if is_peer(shlex.split(text)[:1][0])]


def _side_by_side(arguments: argparse.Namespace) -> None:
    from keras_ctxseg.benchmark.results import caption, results, save, table
    from keras_ctxseg.benchmark.side_by_side import measure_side_by_side

    mean_iou = _mean_iou(arguments.runs)
    measured = measure_side_by_side(
        _subjects(arguments),
        arguments.repeats,
        folder=arguments.exports,
        threads=arguments.threads,
    )
    found = results(*measured, command=_command(), mean_iou=mean_iou)
    print(f"{caption(found)}\n\n{table(found)}")
    if arguments.json:
        print(f"\nFigures    {save(found, arguments.json)}")
    if arguments.plot:
        from keras_ctxseg.benchmark.page import plot

        print(f"Plot       {plot(found, arguments.plot)}")


def _subjects(arguments: argparse.Namespace) -> list:
    from keras_ctxseg.benchmark.subject import Subject, peers_of
    from keras_ctxseg.runs.imports import anchored

    shared = {
        "size": arguments.size or (512, 512),
        "num_classes": arguments.num_classes,
        "batch": arguments.batch,
        # Each is measured in a process of its own.
        "imports": tuple(anchored(name, Path.cwd()) for name in arguments.imports),
    }
    overrides = list(arguments.overrides)
    if arguments.output_stride:
        overrides.append(f"output_stride={arguments.output_stride}")
    words = [[arguments.model, *overrides]]
    others = [shlex.split(text) for text in arguments.against]
    words += [other for other in others if not is_peer(other[0])]
    subjects = []
    for form in arguments.forms or ["saved_model"]:
        ours = [
            Subject("ctxseg", form, name, _options(options), **shared) for name, *options in words
        ]
        subjects += ours
        for name, *options in others:
            if is_peer(name):
                subjects += peers_of(ours[0], name, _options(options))
    return subjects


def _options(overrides: list[str]) -> dict:
    from keras_ctxseg.runs.config_file import parse_override

    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in map(parse_override, overrides)
    }


def _mean_iou(runs: list[str]) -> dict[str, float]:
    """By name of the model."""
    import json

    found = {}
    for run in runs:
        from keras_ctxseg.cli._runs import open_run
        from keras_ctxseg.evaluation.comparison.scored_run import find_scores

        scores = json.loads(Path(find_scores(run)).read_text(encoding="utf-8"))
        found[open_run(run).config.model.name] = scores["mean_iou"]
    return found


def _command() -> str:
    """As it was given, but for the place where exports are kept, which changes nothing."""
    words = list(sys.argv[1:])
    if "--exports" in words:
        place = words.index("--exports")
        del words[place : place + 2]
    return shlex.join(["ctxseg", *words])


def _model(arguments: argparse.Namespace) -> None:
    from keras_ctxseg.benchmark.models import benchmark_models
    from keras_ctxseg.models.registry import build
    from keras_ctxseg.runs.imports import import_modules

    import_modules(arguments.imports, "--imports")
    size = arguments.size or (512, 512)
    overrides = list(arguments.overrides)
    if arguments.output_stride:
        overrides.append(f"output_stride={arguments.output_stride}")
    models = {}
    for name, options in (
        (arguments.model, overrides),
        *((words[0], words[1:]) for words in map(shlex.split, arguments.against)),
    ):
        model = build(name, arguments.num_classes, **_options(options))
        models[" ".join([name, *options])] = model
    results = benchmark_models(
        models,
        size,
        form=arguments.form,
        repeats=arguments.repeats,
        memory=not arguments.no_memory,
    )
    print(f"{size[0]}x{size[1]}, {arguments.num_classes} classes, batch 1, {_machine()}")
    first = next(iter(results.values()))
    for name, result in results.items():
        print(f"\n{name}")
        print(f"  parameters     {result.parameters:,}")
        print(f"  multiply-adds  {result.multiply_adds}")
        print(f"  latency        {result.latency}")
        if result.memory is not None:
            print(f"  peak memory    {result.memory}")
        if result is not first:
            ratio = first.latency.median / result.latency.median
            print(f"  ratio          {arguments.model} takes {ratio:.3f} of its median")


def _machine() -> str:
    import os

    import tensorflow as tf

    return f"TensorFlow {tf.__version__}, {os.cpu_count()} cores"


def _layers(arguments: argparse.Namespace) -> None:
    from keras_ctxseg.benchmark.layers import compare_atrous_layers

    size = arguments.size or (65, 65)
    result = compare_atrous_layers(
        arguments.channels,
        arguments.filters,
        tuple(arguments.rates),
        size,
        form=arguments.form,
        repeats=arguments.repeats,
    )
    print(f"{arguments.channels} -> {arguments.filters} channels, {size[0]}x{size[1]}, "
          f"rates {arguments.rates}, batch 1")  # fmt: skip
    for name, latency, parameters, multiply_adds in (
        ("ASPP", result.aspp, result.aspp_parameters, result.aspp_multiply_adds),
        ("SharedKernelASPP", result.shared_kernel, result.shared_kernel_parameters,
         result.shared_kernel_multiply_adds),
    ):  # fmt: skip
        print(f"{name:18} {parameters:>12,} parameters  {multiply_adds}  {latency}")
    print(f"{'ratio':18} {result.ratio:.3f} of ASPP's median")


def _pipeline(arguments: argparse.Namespace) -> None:
    from keras_ctxseg.runs.config_file import load_config

    config = load_config(arguments.pipeline, arguments.overrides)

    from keras_ctxseg.benchmark.pipeline import compare_pipeline

    result = compare_pipeline(config)
    print(f"{config.name}: {config.model.name}, batch {config.training.batch_size}, crop "
          f"{config.augmentation.crop_size[0]}x{config.augmentation.crop_size[1]}")  # fmt: skip
    print(f"pipeline alone  {result.pipeline:8.1f} images/s, "
          f"{1000 * result.cpu_seconds:.1f} ms of processor time an image")  # fmt: skip
    print(f"training        {result.training:8.1f} images/s")
    print(f"ratio           {result.ratio:8.2f}")
