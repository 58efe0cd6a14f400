"""Options of how image files are read, as several commands take them."""

from __future__ import annotations

import argparse
import json
from typing import Any

_NAMES = ("exif", "bands", "range", "show", "max_pixels")


def add_reading_arguments(parser: argparse.ArgumentParser, exif: bool = True) -> None:
    """Adds the options; `exif` and `max_pixels` only where the command has no own ones."""
    group = parser.add_argument_group("how images are read (default: as the class file says)")
    if exif:
        group.add_argument(
            "--exif", choices=["upright", "keep"], help="turn images by their EXIF orientation"
        )
        group.add_argument(
            "--max-pixels",
            type=int,
            metavar="N",
            help="refuse images of more pixels (default: 268,435,456)",
        )
    group.add_argument(
        "--bands", type=_numbers, metavar="4,3,2", help="bands to read, numbered from 1"
    )
    group.add_argument(
        "--range",
        type=_range,
        metavar="LOW,HIGH|auto",
        help="stored values that become 0 and 255; auto measures them",
    )
    group.add_argument(
        "--show", type=_numbers, metavar="3,2,1", help="channels that pictures show, from 1"
    )


def reading_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, by name, as `ImageReading` takes them."""
    given = {name: getattr(arguments, name, None) for name in _NAMES}
    return {name: value for name, value in given.items() if value is not None}


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.strip("[]() ").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers, as in 4,3,2. Received: {text!r}"
        ) from None


def _range(text: str) -> Any:
    if text == "auto":
        return text
    try:
        return json.loads(text if text.startswith("[") else f"[{text}]")
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected auto or LOW,HIGH, as in 0,4095. Received: {text!r}"
        ) from None
