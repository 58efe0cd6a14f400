"""`ctxseg evaluate RUN`."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from keras_ctxseg.cli._protocol import add_protocol_arguments, protocol_overrides
from keras_ctxseg.cli._runs import OpenedRun, add_run_argument, open_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to its configuration"
    )
    parser.add_argument("--split", help="default: evaluation.split, else data.validation_split")
    parser.add_argument("--data", metavar="CONFIG", help="a recipe whose data set is taken instead")
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="default: RUN/evaluation/SPLIT, with what differs from the run, as in val+flip=true",
    )
    parser.add_argument(
        "--segments",
        action="store_true",
        help="of a panoptic run: write truth and predictions in COCO's format, for panopticapi",
    )
    add_protocol_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    overrides = [*arguments.overrides, *protocol_overrides(arguments)]
    opened = open_run(arguments.run, overrides, arguments.data)
    evaluate(opened, arguments.split, arguments.output, arguments.segments)
    return 0


def evaluate(
    opened: OpenedRun,
    split: str | None = None,
    output: Path | None = None,
    segments: bool = False,
):
    """Scores, prints the table, and writes `scores.json` and `report.html` into `output`."""
    from keras_ctxseg.data.dataset import evaluation_examples
    from keras_ctxseg.evaluation.panoptic_files import segment_files
    from keras_ctxseg.evaluation.report import write_report
    from keras_ctxseg.evaluation.samples import report_samples
    from keras_ctxseg.runs.assembly import build_evaluator, load_dataset
    from keras_ctxseg.runs.checkpoint import load_checkpoint
    from keras_ctxseg.runs.run_directory import RunDirectory

    config = opened.config
    split = split or config.evaluation.split or config.data.validation_split
    run = RunDirectory(opened.folder)
    output = output or run.evaluation(split, opened.changes)
    dataset = load_dataset(config)
    examples = evaluation_examples(dataset, split, config.data.image_scale)
    model = load_checkpoint(opened.checkpoint, dataset.num_classes)
    evaluator = build_evaluator(config, model, dataset, progress=sys.stdout.isatty())
    output.mkdir(parents=True, exist_ok=True)
    files = segment_files(evaluator, dataset, output / "segments") if segments else []
    result = evaluator(examples)
    for file in files:
        file.close()
    print(result.table())
    result.to_json(output / "scores.json", _source(opened, split, output))
    samples = report_samples(
        evaluator, examples, result, config.evaluation.report_images, dataset.reading.show
    )
    report = write_report(
        result,
        samples,
        output / "report.html",
        dataset.palette,
        facts={
            "Command": shlex.join(sys.argv),
            "Run": config.name,
            "Model": f"{config.model.name}, {model.count_params():,} parameters",
            "Checkpoint": str(opened.checkpoint),
            "Data": f"{dataset.name}, {split}, {dataset.splits[split]} images",
            "Image scale": config.data.image_scale,
        },
        title=f"{config.name} on {dataset.name}/{split}",
        log=run.log,
    )
    print(f"Scores     {output / 'scores.json'}")
    print(f"Report     {report}")
    if segments:
        print(f"Segments   {output / 'segments'}, truth.json and predictions.json")
    return result


def _source(opened: OpenedRun, split: str, output: Path) -> dict:
    """What opens the same checkpoint and data again, also where the run's folder has moved."""
    checkpoint = opened.checkpoint.absolute()
    moves_along = output.absolute().is_relative_to(opened.folder.absolute())
    return {
        "checkpoint": os.path.relpath(checkpoint, output) if moves_along else str(checkpoint),
        "split": split,
        "overrides": list(opened.overrides),
        "data": None if opened.data is None else os.path.abspath(opened.data),
    }
