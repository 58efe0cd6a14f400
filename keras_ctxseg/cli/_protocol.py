"""The flags that say how predictions are made; each is a key of the `evaluation` section."""

import argparse
from typing import get_args

from keras_ctxseg.cli._runs import parse_size
from keras_ctxseg.inference.protocol import PROTOCOLS, SETTINGS, Average, Blend


def add_protocol_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how predictions are made", "default: as the run's recipe")
    group.add_argument("--protocol", choices=PROTOCOLS, help="a published way to evaluate")
    group.add_argument(
        "--scales", metavar="S,S,...", type=_scales, help="factors on the image, averaged over"
    )
    group.add_argument(
        "--flip", action=argparse.BooleanOptionalAction, help="average with the mirror image"
    )
    group.add_argument("--average", choices=get_args(Average), help="what is averaged")
    group.add_argument(
        "--window", metavar="HxW", type=_sides, help="go over the image in windows of this size"
    )
    group.add_argument(
        "--stride",
        metavar="N|HxW",
        type=_sides,
        help="from window to window; two thirds of the window by default",
    )
    group.add_argument("--blend", choices=get_args(Blend), help="weights of overlapping windows")
    group.add_argument(
        "--pad-to-window",
        action=argparse.BooleanOptionalAction,
        help="fill images smaller than the window with the mean colour; else the window shrinks",
    )


def protocol_overrides(arguments: argparse.Namespace) -> list[str]:
    """The given flags as overrides of a configuration."""
    given = {name: getattr(arguments, name) for name in ("protocol", *SETTINGS)}
    return [
        f"evaluation.{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in given.items()
        if value is not None
    ]


def _scales(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers with commas between, as in 0.5,1,1.5. Received: {text!r}"
        ) from None


def _sides(text: str) -> list[int]:
    return [int(text)] * 2 if text.isdigit() else list(parse_size(text))
