"""`ctxseg list models|data`."""

import argparse

SUMMARY = "list the models or the data sets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["models", "data"])
    parser.add_argument("pattern", nargs="?", default="*", help="as in 'ksac*'")


def run(arguments: argparse.Namespace) -> int:
    import fnmatch

    import keras_ctxseg as ctx

    if arguments.what == "models":
        names = ctx.models.list_models(arguments.pattern)
    else:
        names = fnmatch.filter(ctx.data.list_datasets(), arguments.pattern)
    print("\n".join(names))
    return 0 if names else 1
