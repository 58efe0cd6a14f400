"""`ctxseg export RUN`."""

import argparse
from dataclasses import replace

from keras_ctxseg.cli._runs import OpenedRun, add_run_argument, open_run, parse_size
from keras_ctxseg.export.litert.forms import FORMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="changes to its configuration"
    )
    parser.add_argument("--litert", action="store_true", help="a LiteRT file too (export.litert)")
    parser.add_argument("--onnx", action="store_true", help="an ONNX file too (export.onnx)")
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="HxW",
        help="input size of LiteRT and ONNX files (export.input_size)",
    )
    parser.add_argument(
        "--forms",
        type=_forms,
        metavar="FORM,...",
        help=f"LiteRT files of these kinds: {', '.join(FORMS)} (export.litert_forms)",
    )
    parser.add_argument(
        "--labels",
        action="store_true",
        help="LiteRT and ONNX files put out class ids rather than logits (export.litert_labels)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="write LiteRT and ONNX files that fail the comparison, too; their cards say so",
    )
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="let the SavedModel compute in bfloat16 where it can (export.precision)",
    )
    parser.add_argument(
        "--roll-back",
        type=int,
        nargs="?",
        const=0,
        metavar="VERSION",
        help="RUN is saved_models/NAME: serve this version of it, or the one before, again",
    )
    parser.add_argument(
        "--serve-latest",
        action="store_true",
        help="RUN is saved_models/NAME: undo --roll-back",
    )
    parser.add_argument("--name", help="folder under saved_models/; default: the run's name")
    parser.add_argument("--version", type=int, help="default: the next free number")
    parser.add_argument(
        "--data", metavar="CONFIG", help="recipe of a checkpoint outside a run's folder"
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.roll_back is not None or arguments.serve_latest:
        return _choose_version(arguments)
    opened = open_run(arguments.run, arguments.overrides, arguments.data)
    config = opened.config
    chosen = replace(
        config.export,
        # What only files have asks for one: LiteRT's, unless it is ONNX's.
        litert=config.export.litert
        or arguments.litert
        or arguments.forms is not None
        or (not arguments.onnx and (arguments.size is not None or arguments.labels)),
        onnx=config.export.onnx or arguments.onnx,
        input_size=arguments.size or config.export.input_size,
        litert_forms=arguments.forms or config.export.litert_forms,
        litert_labels=arguments.labels or config.export.litert_labels,
        precision="mixed_bfloat16" if arguments.bfloat16 else config.export.precision,
    )
    config = replace(config, export=chosen, name=arguments.name or config.name)
    export(replace(opened, config=config), arguments.version, arguments.force)
    return 0


def _choose_version(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.export.saved_model.server_files import release, roll_back

    if arguments.serve_latest:
        version = release(arguments.run)
    else:
        version = roll_back(arguments.run, arguments.roll_back or None)
    print(f"{arguments.run}: version {version} is served from now on")
    return 0


def export(opened: OpenedRun, version: int | None = None, force: bool = False) -> list:
    """Exports, compares each file with the Keras model, and says where it lies."""
    from keras_ctxseg.export.run import export_run

    results = []
    for result in export_run(opened.config, opened.checkpoint, version=version, force=force):
        kind = {".tflite": "LiteRT", ".onnx": "ONNX"}.get(result.path.suffix, "SavedModel")
        print(f"{kind:10} {result.path}\n           {_summary(result.parity)}", flush=True)
        results.append(result)
    return results


def _summary(parity) -> str:
    words = [f"labels agree on {100 * parity.label_agreement:.3f} % of {parity.images} images"]
    if parity.max_softmax_difference is not None:
        words.insert(
            0,
            f"softmax differs by {parity.max_softmax_difference:.1e} at most, "
            f"{parity.mean_softmax_difference:.1e} on average",
        )
    if parity.mean_iou is not None:
        words.append(f"mean IoU {parity.mean_iou:.4f}, Keras' {parity.keras_mean_iou:.4f}")
    return ", ".join(words) + ("" if parity.passed else "; FAILED, written by force")


def _forms(text: str) -> tuple[str, ...]:
    forms = tuple(dict.fromkeys(text.split(",")))
    unknown = [form for form in forms if form not in FORMS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"expected some of {', '.join(FORMS)}, with commas between. Received: {unknown[0]!r}"
        )
    return forms
