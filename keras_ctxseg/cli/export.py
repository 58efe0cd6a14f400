"""`ctxseg export RUN`."""

import argparse
from dataclasses import replace

from keras_ctxseg.cli._runs import OpenedRun, add_run_argument, open_run, parse_size

SUMMARY = "write a checked SavedModel, and a LiteRT file, of a checkpoint"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to its configuration"
    )
    parser.add_argument("--litert", action="store_true", help="a LiteRT file too (export.litert)")
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="HxW",
        help="input size of the LiteRT file (export.input_size)",
    )
    parser.add_argument("--name", help="folder under saved_models/; default: the run's name")
    parser.add_argument("--version", type=int, help="default: the next free number")
    parser.add_argument(
        "--data", metavar="CONFIG", help="recipe of a checkpoint outside a run's folder"
    )


def run(arguments: argparse.Namespace) -> int:
    opened = open_run(arguments.run, arguments.overrides, arguments.data)
    config = opened.config
    chosen = replace(
        config.export,
        litert=config.export.litert or arguments.litert or arguments.size is not None,
        input_size=arguments.size or config.export.input_size,
    )
    config = replace(config, export=chosen, name=arguments.name or config.name)
    export(replace(opened, config=config), arguments.version)
    return 0


def export(opened: OpenedRun, version: int | None = None) -> list:
    """Exports, compares each file with the Keras model, and says where it lies."""
    from keras_ctxseg.export.run import export_run

    results = []
    for result in export_run(opened.config, opened.checkpoint, version=version):
        kind = "LiteRT" if result.path.suffix == ".tflite" else "SavedModel"
        print(f"{kind:10} {result.path}\n           {_summary(result.parity)}", flush=True)
        results.append(result)
    return results


def _summary(parity) -> str:
    return (
        f"softmax differs by {parity.max_softmax_difference:.1e} at most, "
        f"labels agree on {100 * parity.label_agreement:.3f} % of {parity.images} images"
    )
