"""`ctxseg compare RUN RUN ...`."""

import argparse
from pathlib import Path

SUMMARY = "say which of several evaluated runs is better, and whether the images can tell"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="an evaluated run's folder, or a scores.json; the first is the baseline. Seeds of one "
        "recipe form a group by themselves; NAME=RUN,RUN makes a group of any runs",
    )
    parser.add_argument("--split", help="which evaluation, where runs have several")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a report with pictures")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures")
    parser.add_argument(
        "--pictures",
        type=int,
        default=4,
        metavar="N",
        help="most disputed images that the report shows, predicted again (default: 4)",
    )
    parser.add_argument("--resamples", type=int, default=2000, help="of the images (default: 2000)")
    parser.add_argument("--level", type=float, default=0.95, help="of intervals (default: 0.95)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: 0)")
    parser.add_argument(
        "--any-protocol", action="store_true", help="compare different protocols all the same"
    )


def run(arguments: argparse.Namespace) -> int:
    import keras_ctxseg as ctx

    comparison = ctx.evaluation.compare(
        _groups(arguments.runs),
        arguments.split,
        arguments.resamples,
        arguments.level,
        arguments.seed,
        arguments.any_protocol,
    )
    print(ctx.evaluation.comparison_table(comparison))
    if arguments.json:
        print(f"\nFigures    {comparison.to_json(arguments.json)}")
    return 0


def _groups(words: list[str]) -> list[str] | dict[str, list[str]]:
    """The words as runs, or as groups of runs by name where one of them gives a name."""
    named = {word for word in words if "=" in word and not Path(word).exists()}
    if not named:
        return words
    groups: dict[str, list[str]] = {}
    for word in words:
        name, members = Path(word).absolute().name, word
        if word in named:
            name, _, members = word.partition("=")
        if name in groups:
            raise ValueError(f"{name}: expected another name for each group. Found it twice")
        groups[name] = members.split(",") if word in named else [word]
    return groups
