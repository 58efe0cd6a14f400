"""`ctxseg predict RUN|--model EXPORT IMAGE|VIDEO ... --output DIR`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ctxseg.cli._protocol import add_protocol_arguments, protocol_overrides
from keras_ctxseg.cli._reading import add_reading_arguments, reading_options
from keras_ctxseg.cli._runs import OpenedRun, add_run_argument, open_run
from keras_ctxseg.prediction.formats import FORMATS

if TYPE_CHECKING:
    from keras_ctxseg.prediction.written_predictions import PredictionResult

_SHOWN = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help="files, folders or quoted globs; video files"
    )
    parser.add_argument(
        "--model",
        metavar="EXPORT",
        help="in place of RUN: an exported model, a SavedModel's directory or a LiteRT file",
    )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where to write")
    parser.add_argument(
        "--data", metavar="CONFIG", help="recipe of a checkpoint outside a run's folder"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="palette",
        help="; ".join(f"{name}: {what}" for name, what in FORMATS.items()),
    )
    parser.add_argument(
        "--overlay", action="store_true", help="in videos, lay the colours over the frames"
    )
    add_protocol_arguments(parser)
    add_reading_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.model is not None:
        failures = _predict_exported(arguments)
    else:
        if not arguments.images:
            raise ValueError("IMAGE: expected files, folders or globs after the run. Found none")
        opened = open_run(arguments.run, protocol_overrides(arguments), arguments.data)
        failures = predict(
            opened,
            arguments.images,
            arguments.output,
            arguments.format,
            arguments.overlay,
            reading_options(arguments),
        )
    for message in failures:
        print(f"ctxseg: skipped: {message}", file=sys.stderr)
    return 1 if failures else 0


def _predict_exported(arguments: argparse.Namespace) -> list[str]:
    """Writes label maps and overlays by an exported model, and returns what went wrong."""
    images = [arguments.run, *arguments.images]  # RUN is an image here
    if protocol_overrides(arguments) or arguments.data or arguments.overlay:
        raise ValueError(
            "--model: an exported model labels images whole, with what it knows of its classes; "
            "scales, windows, --data and --overlay go with a run"
        )
    from keras_ctxseg.data.palettes import default_palette
    from keras_ctxseg.export.loading.load import load
    from keras_ctxseg.prediction.exported import predict_exported
    from keras_ctxseg.prediction.video_file import is_video

    videos = [path for path in images if is_video(path)]
    if videos:
        raise ValueError(f"{videos[0]}: videos are labelled by a run, --model takes images")
    model = load(arguments.model)
    names = model.class_names or [str(k) for k in range(255)]
    palette = default_palette(len(names)) if model.palette is None else model.palette
    result = predict_exported(
        model,
        images,
        arguments.output,
        palette,
        names,
        progress=sys.stdout.isatty(),
        format=arguments.format,
        reading=model.reading.changed(reading_options(arguments), "predict"),
    )
    _say(result, arguments.output)
    return [message for _, message in result.failures]


def _say(result: PredictionResult, output: Path) -> None:
    print(f"Labels     {output / 'labels'}, {len(result.images)} images")
    print(f"Overlays   {output / 'overlays'}")
    if result.left_out:
        names = ", ".join(path.name for path in result.left_out[:_SHOWN])
        more = f" and {len(result.left_out) - _SHOWN} more" if len(result.left_out) > _SHOWN else ""
        print(f"Left out   {len(result.left_out)} files that are no images: {names}{more}")


def predict(
    opened: OpenedRun,
    images: list[str],
    output: Path,
    format: str = "palette",
    overlay: bool = False,
    options: dict[str, Any] | None = None,
) -> list[str]:
    """Writes label maps, overlays and videos, says where, and returns what went wrong."""
    from keras_ctxseg.data.class_file import read_class_file
    from keras_ctxseg.prediction.image_files import find_files, output_names
    from keras_ctxseg.prediction.images import predict as predict_images
    from keras_ctxseg.prediction.video import predict_video
    from keras_ctxseg.prediction.video_file import is_video
    from keras_ctxseg.runs.assembly import evaluation_protocol, load_dataset
    from keras_ctxseg.runs.checkpoint import load_checkpoint
    from keras_ctxseg.runs.run_directory import RunDirectory

    # The run knows its classes: the data set may be on another machine.
    class_file = RunDirectory(opened.folder).classes
    if class_file.is_file():
        table: Any = read_class_file(class_file)
        reading = table.images
    else:
        table = load_dataset(opened.config)
        reading = table.reading
    reading = reading.changed(options or {}, "predict")
    model = load_checkpoint(opened.checkpoint, len(table.class_names))
    scale, show = opened.config.data.image_scale, sys.stdout.isatty()
    videos = find_files(path for path in images if is_video(path))
    stills = [path for path in images if not is_video(path)]
    protocol, batch_size = evaluation_protocol(opened.config), opened.config.evaluation.batch_size
    failures = []
    if stills:
        result = predict_images(
            model,
            stills,
            output,
            table.palette,
            table.class_names,
            image_scale=scale,
            progress=show,
            format=format,
            thing_classes=table.thing_classes,
            grouping=opened.config.panoptic,
            protocol=protocol,
            batch_size=batch_size,
            reading=reading,
        )
        failures += [message for _, message in result.failures]
        _say(result, output)
        if table.thing_classes:
            print(f"Segments   {output / 'panoptic.json'}")
    for path, name in zip(videos, output_names(videos), strict=True):
        try:
            video = predict_video(
                model,
                path,
                output / "videos" / f"{name}.mp4",
                table.palette,
                table.class_names,
                image_scale=scale,
                opacity=0.5 if overlay else 1.0,
                progress=show,
                protocol=protocol,
                batch_size=batch_size,
            )
        except ValueError as error:
            failures.append(str(error))
            continue
        print(
            f"Video      {video.output}, {video.frames} frames of {video.height}x{video.width}, "
            f"{video.frames_per_second:.1f} frames/s"
        )
    return failures
