"""`ctxseg check-data PATH`."""

import argparse
from pathlib import Path

from keras_ctxseg.cli._reading import add_reading_arguments, reading_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="the folder that holds train/, val/, ...")
    parser.add_argument(
        "--mask-format",
        default="ids",
        choices=["ids", "palette", "colors"],
        help="how masks are written (default: ids)",
    )
    parser.add_argument("--classes", metavar="FILE", help="default: PATH/classes.json")
    add_reading_arguments(parser)
    parser.add_argument("--sample", type=int, metavar="N", help="open N pairs of each split only")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with thumbnails")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything for a program")


def run(arguments: argparse.Namespace) -> int:
    # Not through `keras_ctxseg.data`: neither Keras nor TensorFlow is needed.
    from keras_ctxseg.data_tools.checks import check, write_sheet

    report = check(
        arguments.path,
        arguments.classes,
        arguments.mask_format,
        sample=arguments.sample,
        **reading_options(arguments),
    )
    print(report.table())
    print()
    if arguments.html:
        print(f"Sheet      {write_sheet(report, arguments.html, arguments.classes)}")
    if arguments.json:
        print(f"JSON       {report.to_json(arguments.json)}")
    print(f"{len(report.errors)} errors, {len(report.warnings)} warnings")
    return 1 if report.errors else 0
