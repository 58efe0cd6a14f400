"""`ctxseg train CONFIG [key=value ...] [--resume [auto]]`."""

import argparse
from typing import Literal

from keras_ctxseg.cli._runs import parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML recipe, as in configs/")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="as in training.learning_rate=0.05"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--resume",
        nargs="?",
        const="always",
        choices=["auto", "always"],
        metavar="auto",
        help="go on from the newest whole checkpoint; `auto`, for schedulers that start the same "
        "command again: where there is one, else begin",
    )
    mode.add_argument(
        "--overwrite", action="store_true", help="discard an earlier run in the directory"
    )
    mode.add_argument(
        "--dry-run",
        action="store_true",
        help="build everything, take one step on small images (random ones where the data set is "
        "missing), and say what training would cost; leaves no run",
    )
    parser.add_argument(
        "--dry-run-size",
        type=parse_size,
        default=(65, 65),
        metavar="HxW",
        help="crop of the dry run's step (default: 65x65)",
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.runs.config_file import load_config
    from keras_ctxseg.runs.imports import import_modules
    from keras_ctxseg.runs.run_directory import RunDirectory

    # Before TensorFlow loads: a misspelt key should not cost ten seconds.
    config = load_config(arguments.config, arguments.overrides)
    if not (arguments.resume or arguments.overwrite or arguments.dry_run):
        RunDirectory(config.directory).refuse_if_used()
    import_modules(config.imports, arguments.config)
    if arguments.dry_run:
        from keras_ctxseg.costs.recipe_trial import dry_run

        print(dry_run(config, arguments.dry_run_size))
        return 0
    from keras_ctxseg.training.run import train

    resume: bool | Literal["auto"] = arguments.resume is not None
    if arguments.resume == "auto":
        resume = "auto"
    result = train(config, resume=resume, overwrite=arguments.overwrite, say=print)
    name, best = "mIoU", result.best_mean_iou
    if config.training.best_score != "mean_iou":
        name, best = config.training.best_score, result.best_score
    score = "none" if best is None else f"{100 * best:.2f} %"
    print(f"Best validation {name} {score} after {result.epochs} epochs ({result.seconds:.0f} s)")
    print(f"Next: ctxseg evaluate {result.directory}")
    return 0
