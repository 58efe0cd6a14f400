"""`ctxseg predict RUN IMAGE ... --output DIR`."""

import argparse
import sys
from pathlib import Path

from keras_ctxseg.cli._runs import OpenedRun, add_run_argument, open_run

SUMMARY = "label images: palette PNGs and overlays"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders or quoted globs")
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where to write")
    parser.add_argument(
        "--data", metavar="CONFIG", help="recipe of a checkpoint outside a run's folder"
    )


def run(arguments: argparse.Namespace) -> int:
    opened = open_run(arguments.run, data=arguments.data)
    result = predict(opened, arguments.images, arguments.output)
    for _, message in result.failures:
        print(f"ctxseg: skipped: {message}", file=sys.stderr)
    return 1 if result.failures else 0


def predict(opened: OpenedRun, images: list[str], output: Path):
    """Writes label maps and overlays of all images, and says where."""
    import keras_ctxseg as ctx
    from keras_ctxseg.data.class_file import read_class_file
    from keras_ctxseg.training.assembly import load_dataset
    from keras_ctxseg.training.checkpoint import load_checkpoint
    from keras_ctxseg.training.run_directory import RunDirectory

    # The run knows its classes: the data set may be on another machine.
    class_file = RunDirectory(opened.folder).classes
    table = read_class_file(class_file) if class_file.is_file() else load_dataset(opened.config)
    result = ctx.evaluation.predict(
        load_checkpoint(opened.checkpoint, len(table.class_names)),
        images,
        output,
        table.palette,
        table.class_names,
        image_scale=opened.config.data.image_scale,
        progress=sys.stdout.isatty(),
    )
    print(f"Labels     {output / 'labels'}, {len(result.images)} images")
    print(f"Overlays   {output / 'overlays'}")
    return result
