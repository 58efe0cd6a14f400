"""`ctxseg compare RUN RUN ...`."""

import argparse
import shlex
import sys
from pathlib import Path

from keras_ctxseg.cli._runs import open_run


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
    parser.add_argument(
        "--block",
        type=int,
        default=1,
        metavar="N",
        help="draw N neighbouring images at a time: for frames of a video, as many as stay alike "
        "(default: 1)",
    )
    parser.add_argument("--level", type=float, default=0.95, help="of intervals (default: 0.95)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: 0)")
    parser.add_argument(
        "--any-protocol", action="store_true", help="compare different protocols all the same"
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.evaluation.comparison.paired import compare
    from keras_ctxseg.evaluation.comparison.report import write_comparison
    from keras_ctxseg.evaluation.comparison.table import comparison_table

    comparison = compare(
        _groups(arguments.runs),
        arguments.split,
        arguments.resamples,
        arguments.level,
        arguments.seed,
        arguments.any_protocol,
        arguments.block,
    )
    print(comparison_table(comparison))
    if arguments.json:
        print(f"\nFigures    {comparison.to_json(arguments.json)}")
    if arguments.html:
        palette, pictures = _pictures(comparison, arguments.pictures)
        path = write_comparison(
            comparison,
            arguments.html,
            palette,
            pictures,
            facts={"Command": shlex.join(sys.argv)},
            title=" against ".join(group.name for group in comparison.groups[:3]),
        )
        print(f"{'' if arguments.json else chr(10)}Report     {path}")
    return 0


def _pictures(comparison, count: int):
    """The palette and the most disputed images, predicted by the first run of each group.

    Without pictures, and with a word on why, where a run's checkpoint or data are not at hand.
    """
    from keras_ctxseg.data.dataset import evaluation_examples
    from keras_ctxseg.evaluation.comparison.report import disputed_images
    from keras_ctxseg.inference.predictor import Predictor
    from keras_ctxseg.inference.protocol import Protocol
    from keras_ctxseg.runs.assembly import load_dataset
    from keras_ctxseg.runs.checkpoint import load_checkpoint

    names = [comparison.images[place] for place in comparison.most_disputed(count)]
    networks, palette = {}, None
    try:
        for group in comparison.groups if names else ():
            run = group.runs[0]
            if run.source is None:
                raise ValueError(f"{run.path} does not name its checkpoint; evaluate the run again")
            checkpoint = run.path.parent / run.source["checkpoint"]
            opened = open_run(str(checkpoint), run.source["overrides"], run.source["data"])
            dataset = load_dataset(opened.config)
            palette = dataset.palette
            model = load_checkpoint(opened.checkpoint, dataset.num_classes)
            protocol = Protocol(**run.protocol)
            networks[group.name] = (
                Predictor(model, protocol).label,
                evaluation_examples(dataset, run.source["split"], opened.config.data.image_scale),
            )
        return palette, disputed_images(names, networks)
    except (ValueError, OSError) as error:
        print(f"ctxseg: the report goes without pictures: {error}", file=sys.stderr)
        return None, []


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
