"""`ctxseg show-data CONFIG`."""

import argparse
from dataclasses import replace
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to it")
    parser.add_argument("--count", type=int, default=4, help="examples (default: 4)")
    parser.add_argument(
        "--epochs", type=int, default=2, help="of each, beside one another (default: 2)"
    )
    parser.add_argument("--raw", action="store_true", help="without augmentation")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        help="a .png, or .html for a page (default: <name>_data.png)",
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.runs.config import ConfigError
    from keras_ctxseg.runs.config_file import load_config

    config = load_config(arguments.config, arguments.overrides)
    for name in ("count", "epochs"):
        if getattr(arguments, name) < 1:
            raise ConfigError(
                f"`--{name}`: expected 1 or more. Received: {getattr(arguments, name)}"
            )

    from keras_ctxseg.data_tools.contact_sheet import augmented_rows, raw_rows, write_sheet
    from keras_ctxseg.runs.assembly import build_pipeline, load_dataset

    dataset = load_dataset(config)
    few = replace(config, data=replace(config.data, cache=False))  # not worth reading them all
    pipeline = build_pipeline(few, dataset)
    if arguments.raw:
        rows = raw_rows(pipeline, arguments.count)
    else:
        rows = augmented_rows(pipeline, arguments.count, arguments.epochs)
    path = write_sheet(
        rows,
        arguments.output or Path(f"{config.name}_data.png"),
        dataset.palette,
        dataset.class_names,
        dataset.ignore_label,
        title=f"{config.name}: {dataset.name}/{config.data.train_split}",
    )
    print(f"Sheet      {path}, {len(rows)} examples of {dataset.splits[config.data.train_split]}")
    return 0
