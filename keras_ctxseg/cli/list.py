"""`ctxseg list models|data`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["models", "data"])
    parser.add_argument("pattern", nargs="?", default="*", help="as in 'ksac*'")
    parser.add_argument(
        "--options", action="store_true", help="also list each one's options, types and defaults"
    )
    parser.add_argument(
        "--imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module or .py file first, as a recipe's `imports` does; repeat for more",
    )


def run(arguments: argparse.Namespace) -> int:
    import fnmatch

    from keras_ctxseg.data import registry as datasets
    from keras_ctxseg.models import registry as models
    from keras_ctxseg.runs.imports import import_modules

    import_modules(arguments.imports, "--imports")
    if arguments.what == "models":
        names = models.list_models(arguments.pattern)
        notes = {name: models.model_note(name) for name in names}
        options_of = models.model_options
    else:
        names = fnmatch.filter(datasets.list_datasets(), arguments.pattern)
        notes = {}
        options_of = datasets.dataset_options
    for name in names:
        note = notes.get(name)
        print(f"{name}  ({note})" if note else name)
        if arguments.options:
            for option in options_of(name).values():
                print(f"    {option}")
    return 0 if names else 1
