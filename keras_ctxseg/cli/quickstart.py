"""`ctxseg quickstart`: the whole path on the embedded data set, from training to served files."""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from keras_ctxseg.cli._runs import OpenedRun, open_run

RECIPES = Path("configs/context_scenes")
OVERLAY_IMAGES = 12
PICTURE_ROWS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to both recipes")
    parser.add_argument(
        "--config", type=Path, default=RECIPES / "ksac_mobilenet_v2.yaml", help="the model's recipe"
    )
    parser.add_argument(
        "--twin", type=Path, default=RECIPES / "context_free_twin.yaml", help="the recipe beside it"
    )


def run(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.runs.config_file import load_config

    began = time.perf_counter()
    config = load_config(arguments.config, arguments.overrides)
    twin = load_config(arguments.twin, arguments.overrides)

    from keras_ctxseg.cli.evaluate import evaluate
    from keras_ctxseg.cli.export import export
    from keras_ctxseg.cli.predict import predict
    from keras_ctxseg.training.run import train

    _headline(1, f"Training {config.model.name} on {config.data.name}")
    trained = train(config, overwrite=True)
    opened = open_run(str(config.directory))

    _headline(2, "Evaluating at the images' own size")
    result = evaluate(opened)

    _headline(3, "Drawing overlays")
    predictions = config.directory / "predictions"
    predict(opened, [str(_write_images(config))], predictions)

    _headline(4, "Exporting, and comparing the exported files with the model")
    served = replace(config.export, litert=True)
    exports = export(replace(opened, config=replace(opened.config, export=served)))

    _headline(5, f"Training its twin without context, {twin.model.name}, on the same recipe")
    twin_trained = train(twin, overwrite=True)
    twin_opened = open_run(str(twin.directory))
    twin_result = evaluate(twin_opened)

    picture = _draw(config, {"with context": opened, "at most 33 pixels": twin_opened})

    _summary(
        [(config.name, trained, result), (twin.name, twin_trained, twin_result)],
        {
            "report": config.directory
            / "evaluation"
            / config.data.validation_split
            / "report.html",
            "picture": picture,
            "overlays": predictions / "overlays",
            "TensorBoard": config.directory / "tensorboard",
            "checkpoint": opened.checkpoint,
            **{_kind(export.path): export.path for export in exports},
        },
        time.perf_counter() - began,
    )
    return 0


def _draw(config, runs: dict[str, OpenedRun]) -> Path:
    """Image, truth and both predictions for the first validation images."""
    from keras_ctxseg.data.dataset import evaluation_examples
    from keras_ctxseg.evaluation.samples import draw_side_by_side
    from keras_ctxseg.runs.assembly import build_evaluator, load_dataset
    from keras_ctxseg.runs.checkpoint import load_checkpoint

    dataset = load_dataset(config)
    evaluators = {
        title: build_evaluator(
            run.config, load_checkpoint(run.checkpoint, dataset.num_classes), dataset
        )
        for title, run in runs.items()
    }
    examples = evaluation_examples(dataset, config.data.validation_split)
    return draw_side_by_side(
        examples.take(PICTURE_ROWS),
        evaluators,
        dataset.palette,
        dataset.class_names,
        config.directory / "side_by_side.png",
    )


def _write_images(config) -> Path:
    """Some validation images as PNG files, as `ctxseg predict` reads them."""
    from PIL import Image

    from keras_ctxseg.runs.assembly import load_dataset

    folder = config.directory / "images"
    folder.mkdir(exist_ok=True)
    examples = load_dataset(config).examples(config.data.validation_split).take(OVERLAY_IMAGES)
    for example in examples.as_numpy_iterator():
        name = Path(example["name"].decode()).name
        Image.fromarray(example["image"]).save(folder / f"{name}.png")
    return folder


def _summary(scored: list, made: dict[str, Path], seconds: float) -> None:
    _headline(6, f"Done in {seconds / 60:.1f} minutes")
    print(f"{'run':32} {'parameters':>12} {'mIoU %':>8}")
    for name, trained, result in scored:
        print(f"{name:32} {trained.parameters:>12,} {100 * result.scores.mean_iou:>8.2f}")
    gain = scored[0][2].scores.mean_iou - scored[1][2].scores.mean_iou
    print(f"{'what context is worth':32} {'':>12} {100 * gain:>+8.2f}")
    for kind, path in made.items():
        print(f"{kind:12} {path}")


def _kind(path: Path) -> str:
    return "LiteRT" if path.suffix == ".tflite" else "SavedModel"


def _headline(number: int, text: str) -> None:
    print(f"\n[{number}/6] {text}", flush=True)
