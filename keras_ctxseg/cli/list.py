"""`ctxseg list models|backbones|data`."""

import argparse
from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["models", "backbones", "data"])
    parser.add_argument("pattern", nargs="?", default="*", help="as in 'ksac*'")
    parser.add_argument(
        "--options", action="store_true", help="also list each one's options, types and defaults"
    )
    parser.add_argument(
        "--table",
        action="store_true",
        help="of backbones: parameters, multiply-adds at 512x512 and features, as Markdown",
    )
    parser.add_argument(
        "--imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import this module or .py file first, as a recipe's `imports` does; repeat for more",
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.runs.imports import import_modules

    import_modules(arguments.imports, "--imports")
    names, note_on, options_of = _listed(arguments.what, arguments.pattern)
    if arguments.table:
        return _print_table(arguments.what, names)
    for name in names:
        note = note_on(name)
        print(f"{name}  ({note})" if note else name)
        if arguments.options:
            for option in options_of(name).values():
                print(f"    {option}")
    return 0 if names else 1


def _listed(what: str, pattern: str) -> tuple[list[str], Callable, Callable]:
    """Names, and functions of a name to a note on it and to its options."""
    if what == "models":
        from keras_ctxseg.models import registry as models

        return models.list_models(pattern), models.model_note, models.model_options
    if what == "backbones":
        from keras_ctxseg.backbones import registry as backbones

        return backbones.list_backbones(pattern), lambda name: "", backbones.backbone_options
    import fnmatch

    from keras_ctxseg.data import registry as datasets

    names = fnmatch.filter(datasets.list_datasets(), pattern)
    return names, lambda name: "", datasets.dataset_options


def _print_table(what: str, names: list[str]) -> int:
    from keras_ctxseg._options import REQUIRED
    from keras_ctxseg.backbones.registry import backbone_options
    from keras_ctxseg.costs.backbone_table import backbone_table

    if what != "backbones":
        raise ValueError(f"`--table` goes with backbones only. Received: list {what} --table")
    names = [
        name
        for name in names
        if all(option.default is not REQUIRED for option in backbone_options(name).values())
    ]
    for line in backbone_table(names):
        print(line, flush=True)
    return 0 if names else 1
