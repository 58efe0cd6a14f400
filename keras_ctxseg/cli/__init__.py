"""The `ctxseg` command: parsing and printing only.

Each command is a module here with `add_arguments(parser)` and `run(arguments) -> exit code`, and a
line in `COMMANDS`. Only the module of the command that is given is imported, so that
`ctxseg --help` answers at once.
"""

import argparse
import importlib
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from keras_ctxseg._text import escaped

COMMANDS = {
    "train": "train the network that a configuration describes",
    "evaluate": "score a checkpoint at the images' own size; write JSON and an HTML report",
    "compare": "say which of several evaluated runs is better, and whether the images can tell",
    "predict": "label images and videos: label maps, overlays, videos in the classes' colours",
    "export": "write a checked SavedModel, LiteRT and ONNX files of a checkpoint",
    "check-data": "open every image and mask of a folder; say what is wrong with them and how to "
    "mend it",
    "prepare-data": "make a folder data set: from colour masks, LabelMe or COCO files; split, "
    "tile, clean",
    "convert-data": "write a recipe's data set as TFRecord files in tf-models' format",
    "show-data": "draw training examples as the network will see them, with their labels",
    "search": "search block tables for spinenet_seg, alone or with other machines",
    "benchmark": "measure models beside each other and beside peers, layers, or the input pipeline",
    "convert": "turn another project's checkpoint into weights of a model here",
    "list": "list the models, backbones or data sets, and their options",
    "quickstart": "train a small model on the embedded data set, evaluate, report, export; a few "
    "minutes",
    "doctor": "look at versions, devices, memory and disk, and take one small training step",
}

USER_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: the words after `ctxseg`; None takes the process's own.

    Returns:
        0 on success, 1 where a command's own check failed, 2 where the input cannot be used, 75
        where a signal ended a training that was saved and goes on with `--resume`, 130 if stopped
        otherwise.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # Names of files need not be UTF-8.
            stream.reconfigure(errors="backslashreplace")
    options = _parse(arguments)
    if options.command is None:
        _parser().print_help()
        return USER_ERROR
    try:
        return _module(options.command).run(options)
    except KeyboardInterrupt:
        print("\nctxseg: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `ctxseg list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        exit_code = getattr(error, "exit_code", None)  # A signal, or a lost worker.
        if exit_code is not None:
            print(f"ctxseg: {_one_line(error)}; go on with --resume", file=sys.stderr)
            return exit_code
        if not isinstance(error, (ValueError, OSError, *_tensorflow_errors())):
            raise
        if options.debug:
            print(escaped(traceback.format_exc(), "\n\t"), file=sys.stderr)
        print(f"ctxseg: error: {_one_line(error)}", file=sys.stderr)
        return USER_ERROR


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Lets words of a repeated argument stand on both sides of options, which argparse does not."""
    words = [*(sys.argv[1:] if arguments is None else arguments)]  # `list` is a command here
    for index, word in enumerate(words):
        # Nothing but `auto` belongs to it; argparse would take whatever word follows.
        if word == "--resume" and words[index + 1 : index + 2] != ["auto"]:
            words[index] = "--resume=always"
    parser = _parser(next((word for word in words if word in COMMANDS), None))
    options, rest = parser.parse_known_args(words)
    repeated = next(
        (vars(options)[name] for name in ("overrides", "images", "runs") if name in options), None
    )
    if repeated is not None and not any(word.startswith("-") for word in rest):
        repeated.extend(rest)
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def _parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """All commands, but the arguments of the chosen one only: the others are not imported."""
    parser = argparse.ArgumentParser(
        prog="ctxseg", description="Context-aware semantic segmentation on Keras 3."
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if name == chosen:
            _module(name).add_arguments(command)
        command.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="show the traceback of an error",
        )
    return parser


def _module(command: str):
    module = importlib.import_module(f"{__name__}.{command.replace('-', '_')}")
    vars(module)["print"] = _print
    return module


def _print(*values: object, **settings: Any) -> None:
    """What commands have as `print`: a terminal would obey control characters in files' names."""
    print(*(escaped(str(value), "\n\t") for value in values), **settings)


def _tensorflow_errors() -> tuple[type[Exception], ...]:
    """What a graph raises, such as for a damaged image; empty while TensorFlow is not loaded."""
    tensorflow = sys.modules.get("tensorflow")
    return () if tensorflow is None else (tensorflow.errors.OpError,)


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, _tensorflow_errors()):
        # "{{function_node ...}} message", then a Python traceback or the graph's nodes.
        lines = [line for line in text.split("\n") if line.strip()]
        nodes = [k for k, line in enumerate(lines) if line.lstrip().startswith("[[")]
        # In `fit`, "Graph execution error:" and where the nodes were made come first.
        first = nodes[0] - 1 if nodes and nodes[0] and lines[0].startswith("Graph exec") else 0
        text = re.sub(r"\{\{.*?\}\}\s*", "", lines[first] if lines else "")
    return " ".join(escaped(text, "\n\t").split()) or type(error).__name__
