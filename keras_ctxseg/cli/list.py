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
        notes = {name: ctx.models.model_note(name) for name in names}
    else:
        names = fnmatch.filter(ctx.data.list_datasets(), arguments.pattern)
        notes = {}
    for name in names:
        note = notes.get(name)
        print(f"{name}  ({note})" if note else name)
    return 0 if names else 1
