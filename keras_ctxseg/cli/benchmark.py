"""`ctxseg benchmark`: what models, layers and the input pipeline cost, measured side by side."""

import argparse

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
        "--peer", choices=["tf-models"], help="tf-models' DeepLabv3+ in the same run"
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
    from keras_ctxseg.training.config_file import parse_override

    size = arguments.size or (512, 512)
    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in map(parse_override, arguments.overrides)
    }
    if arguments.output_stride:
        options["output_stride"] = arguments.output_stride
    model = ctx.models.build(arguments.model, arguments.num_classes, **options)
    result = ctx.benchmark.benchmark_model(
        model,
        size,
        form=arguments.form,
        repeats=arguments.repeats,
        memory=not arguments.no_memory,
        peer=_peer(arguments, size, options),
    )
    print(f"{arguments.model}, {size[0]}x{size[1]}, {arguments.num_classes} classes, batch 1")
    print(f"parameters     {result.parameters:,}")
    print(f"multiply-adds  {result.multiply_adds}")
    print(f"latency        {result.latency}")
    if result.memory is not None:
        print(f"peak memory    {result.memory}")
    if result.peer is not None:
        print(f"peer           tf-models DeepLabv3+, {result.peer.parameters:,} parameters, "
              f"{result.peer.multiply_adds}")  # fmt: skip
        print(f"peer latency   {result.peer.latency}")
        print(f"ratio          {result.peer_ratio:.3f} of the peer's median")


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
    print(f"pipeline alone  {result.pipeline:8.1f} images/s")
    print(f"training        {result.training:8.1f} images/s")
    print(f"ratio           {result.ratio:8.2f}")


def _peer(arguments: argparse.Namespace, size: tuple[int, int], options: dict):
    if arguments.peer is None:
        return None
    import keras_ctxseg as ctx

    stride = arguments.output_stride or 16
    return ctx.benchmark.tf_models_deeplabv3plus(
        size, arguments.num_classes, output_stride=stride, stem=options.get("stem", "7x7")
    )
