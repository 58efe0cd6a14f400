"""`ctxseg benchmark`: what models, layers and the input pipeline cost, measured side by side."""

import argparse
import shlex

from keras_ctxseg.cli._runs import parse_size

SUMMARY = "measure a model, ASPP beside SharedKernelASPP, or the input pipeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="NAME", help="parameters, multiply-adds, latency, memory")
    what.add_argument("--layers", action="store_true", help="ASPP beside SharedKernelASPP")
    what.add_argument("--pipeline", metavar="CONFIG", help="images per second, beside training's")
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
        help="weights as constants or not",
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
        help="another model measured in the same run, with options of its own; or 'tf-models': that"
        " package's DeepLabv3+ (repeatable)",
    )
    layers = parser.add_argument_group("with --layers")
    layers.add_argument("--channels", type=int, default=2048)
    layers.add_argument("--filters", type=int, default=256)
    layers.add_argument("--rates", type=int, nargs="+", default=[6, 12, 18, 24])


def run(arguments: argparse.Namespace) -> int:
    if arguments.model:
        _model(arguments)
    elif arguments.layers:
        _layers(arguments)
    else:
        _pipeline(arguments)
    return 0


def _model(arguments: argparse.Namespace) -> None:
    import keras_ctxseg as ctx

    size = arguments.size or (512, 512)
    overrides = list(arguments.overrides)
    if arguments.output_stride:
        overrides.append(f"output_stride={arguments.output_stride}")
    models = {}
    for name, options in (
        (arguments.model, overrides),
        *((words[0], words[1:]) for words in map(shlex.split, arguments.against)),
    ):
        models[" ".join([name, *options])] = _build(name, options, size, arguments.num_classes)
    results = ctx.benchmark.benchmark_models(
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


def _build(name: str, overrides: list[str], size: tuple[int, int], num_classes: int):
    import keras_ctxseg as ctx
    from keras_ctxseg.training.config_file import parse_override

    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in map(parse_override, overrides)
    }
    if name == "tf-models":
        known = ("depth", "output_stride", "stem")
        for key in options:
            if key not in known:
                raise ValueError(f"`--against tf-models`: expected options among {known}. "
                                 f"Received: {key!r}")  # fmt: skip
        return ctx.benchmark.tf_models_deeplabv3plus(size, num_classes, **options)
    return ctx.models.build(name, num_classes, **options)


def _machine() -> str:
    import os

    import tensorflow as tf

    return f"TensorFlow {tf.__version__}, {os.cpu_count()} cores"


def _layers(arguments: argparse.Namespace) -> None:
    import keras_ctxseg as ctx

    size = arguments.size or (65, 65)
    result = ctx.benchmark.compare_atrous_layers(
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
    from keras_ctxseg.training.config_file import load_config

    config = load_config(arguments.pipeline, arguments.overrides)

    import keras_ctxseg as ctx

    result = ctx.benchmark.compare_pipeline(config)
    print(f"{config.name}: {config.model.name}, batch {config.training.batch_size}, crop "
          f"{config.augmentation.crop_size[0]}x{config.augmentation.crop_size[1]}")  # fmt: skip
    print(f"pipeline alone  {result.pipeline:8.1f} images/s, "
          f"{1000 * result.cpu_seconds:.1f} ms of processor time an image")  # fmt: skip
    print(f"training        {result.training:8.1f} images/s")
    print(f"ratio           {result.ratio:8.2f}")
