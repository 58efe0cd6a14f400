"""`ctxseg convert-data CONFIG --output DIR [key=value ...]`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML recipe; its data section counts")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="as in data.options.path=mydata"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the files")
    parser.add_argument("--split", action="append", help="a split; may be repeated (default: all)")
    parser.add_argument("--shards", type=int, default=1, help="files for each split (default: 1)")
    parser.add_argument(
        "--image-format",
        choices=("png", "jpeg"),
        default="png",
        help="png loses nothing (default); jpeg is smaller",
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.runs.config_file import load_config

    config = load_config(arguments.config, arguments.overrides)

    from keras_ctxseg.data.registry import load
    from keras_ctxseg.data.tfrecord import write_classes, write_tfrecords

    dataset = load(config.data.name, **config.data.options)
    for split in arguments.split or dataset.splits:
        files = write_tfrecords(
            dataset, split, arguments.output, arguments.shards, arguments.image_format
        )
        print(f"{split}: {dataset.splits[split]} examples in {len(files)} files")
    classes = write_classes(dataset, arguments.output)
    print(f"Read them with data.name=tfrecord data.options.classes={classes}")
    print(f"  and data.options.pattern='{arguments.output}/{{split}}-*.tfrecord'")
    return 0
