"""`ctxseg prepare-data import|colors|masks|labelme|coco|split|tile|clean`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from keras_ctxseg.cli._reading import add_reading_arguments, reading_options
from keras_ctxseg.cli._runs import parse_size

if TYPE_CHECKING:
    from keras_ctxseg.data_tools.prepare import PreparedFolder, Recognised, Splitting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    modes = parser.add_subparsers(dest="mode", metavar="MODE", required=True)

    imported = modes.add_parser(
        "import", help="what an annotation tool or a site gives, recognised, to a data set"
    )
    imported.add_argument("path", metavar="FOLDER", help="as it was exported, unpacked")
    imported.add_argument("--format", metavar="NAME", help="default: recognised by the files")
    imported.add_argument(
        "--images", dest="image_folder", type=Path, metavar="DIR", help="default: in FOLDER"
    )
    imported.add_argument("--label", metavar="NAME", help="GeoJSON's property that holds the class")
    imported.add_argument(
        "--rle-order", choices=["rows", "columns"], help="of Kaggle's run lengths"
    )

    colors = modes.add_parser("colors", help="list the colours of masks, as a table to name them")
    colors.add_argument("masks", metavar="DIR", help="the folder of the masks")
    colors.add_argument("--output", type=Path, metavar="FILE", help="default: print the table")

    masks = modes.add_parser("masks", help="images and masks in colours (or ids) to a data set")
    masks.add_argument("--images", required=True, dest="image_folder", metavar="DIR")
    masks.add_argument("--masks", required=True, metavar="DIR")
    masks.add_argument("--colors", metavar="FILE", help="names of colours; default: as found")
    masks.add_argument("--ids", metavar="FILE", help="masks hold ids; the class file of these")
    masks.add_argument(
        "--unknown",
        default="error",
        choices=["error", "void", "nearest"],
        help="what colours outside the table are (default: an error)",
    )
    masks.add_argument(
        "--mask-suffix", default="", metavar="TEXT", help="_L, for a.png and a_L.png"
    )
    masks.add_argument("--image-suffix", default="", metavar="TEXT")
    masks.add_argument("--skip-unpaired", action="store_true")

    labelme = modes.add_parser("labelme", help="LabelMe's JSON files to a data set")
    labelme.add_argument("annotations", metavar="DIR", help="the folder of the JSON files")
    labelme.add_argument(
        "--images", dest="image_folder", metavar="DIR", help="default: where the JSON files say"
    )
    labelme.add_argument("--line-width", type=int, default=10, metavar="PIXELS")

    coco = modes.add_parser("coco", help="a COCO JSON file (polygons, RLE, crowds) to a data set")
    coco.add_argument("annotations", metavar="FILE")
    coco.add_argument("--images", required=True, dest="image_folder", metavar="DIR")
    coco.add_argument(
        "--crowd",
        default="void",
        choices=["void", "class", "skip"],
        help="what crowd regions are (default: void)",
    )

    split = modes.add_parser("split", help="distribute a data set's examples anew")
    split.add_argument("path", metavar="PATH")

    tile = modes.add_parser("tile", help="cut large images into tiles")
    tile.add_argument("path", metavar="PATH")
    tile.add_argument("--size", type=parse_size, required=True, metavar="HxW")
    tile.add_argument("--overlap", type=int, default=0, metavar="PIXELS")
    tile.add_argument(
        "--min-labelled",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="drop tiles with no more labelled pixels than that (default: 0, those with none)",
    )
    tile.add_argument("--whole", default="", metavar="val,test", help="splits that are not cut")
    tile.add_argument("--classes", metavar="FILE", help="default: PATH/classes.json")

    clean = modes.add_parser("clean", help="leave out what check-data finds errors in, and copies")
    clean.add_argument("path", metavar="PATH")

    for mode in (imported, labelme, coco):
        mode.add_argument("--classes", metavar="a,b|FILE", help="names, in the order of the ids")
        mode.add_argument(
            "--outside",
            default="background",
            choices=["background", "void"],
            help="what pixels without an annotation are (default: a class of their own)",
        )
    for mode in (imported, masks, labelme, coco, split):
        shares = mode.add_argument_group("splits")
        shares.add_argument("--val", type=float, default=0.2, metavar="SHARE", help="default: 0.2")
        shares.add_argument("--test", type=float, default=0.0, metavar="SHARE", help="default: 0")
        shares.add_argument("--seed", type=int, default=0)
        shares.add_argument(
            "--group-by", metavar="REGEX", help="names in which it finds the same stay together"
        )
        if mode not in (split, imported):
            shares.add_argument(
                "--splits", default="", metavar="train,val", help="they exist: '{split}' in paths"
            )
    for mode in (imported, masks, labelme, coco, split, clean):
        mode.add_argument(
            "--exif",
            default="auto",
            choices=["auto", "upright", "keep", "stored"],
            help="turn images as their EXIF data ask (default: where the mask fits then)",
        )
    for mode in (imported, masks, labelme, coco, split, clean):
        add_reading_arguments(mode, exif=False)
    for mode in (tile, clean):
        mode.add_argument("--mask-format", default="ids", choices=["ids", "palette", "colors"])
    for mode in (imported, masks, labelme, coco, split, tile):
        mode.add_argument("--skip-errors", action="store_true", help="leave out what is unusable")
    for mode in (imported, masks, labelme, coco, split, tile, clean):
        mode.add_argument(
            "--output", required=True, metavar="DIR", help="a folder that is not there"
        )


def run(arguments: argparse.Namespace) -> int:
    # Not through `keras_ctxseg.data`: neither Keras nor TensorFlow is needed.
    from keras_ctxseg.data_tools import prepare

    given = arguments
    if given.mode == "colors":
        return _colors(given)
    if given.mode == "import":
        prepared = _import(given)
    elif given.mode == "masks":
        prepared = prepare.prepare_masks(
            given.image_folder, given.masks, given.output, colors=given.colors, ids=given.ids,
            unknown=given.unknown, image_suffix=given.image_suffix, mask_suffix=given.mask_suffix,
            skip_unpaired=given.skip_unpaired, **_splits(given),
        )  # fmt: skip
    elif given.mode == "labelme":
        prepared = prepare.prepare_labelme(
            given.annotations, given.output, images=given.image_folder, classes=given.classes,
            outside=given.outside, line_width=given.line_width, **_splits(given),
        )  # fmt: skip
    elif given.mode == "coco":
        prepared = prepare.prepare_coco(
            given.annotations, given.image_folder, given.output, classes=given.classes,
            outside=given.outside, crowd=given.crowd, **_splits(given),
        )  # fmt: skip
    elif given.mode == "split":
        prepared = prepare.split_folder(
            given.path, given.output, _splitting(given), given.exif, given.skip_errors
        )
    elif given.mode == "tile":
        prepared = prepare.tile_folder(
            given.path, given.output, given.size, given.overlap, given.min_labelled,
            _words(given.whole), given.mask_format, given.classes, given.skip_errors,
        )  # fmt: skip
    else:
        prepared, left_out = prepare.clean_folder(
            given.path, given.output, given.mask_format, given.exif
        )
        for path in left_out:
            print(f"Left out {path}")
    options = reading_options(given)
    options.pop("exif", None)  # What is written is upright, or stored without EXIF data.
    if options:
        prepare.note_reading(prepared.path, options)
    _report(prepared)
    return 0


def _import(given: argparse.Namespace) -> PreparedFolder:
    from keras_ctxseg.data_tools.prepare import ImportOptions, import_folder

    by_rows = None if given.rle_order is None else given.rle_order == "rows"
    options = ImportOptions(given.classes, given.outside, given.image_folder, by_rows=by_rows,
                            label=given.label)  # fmt: skip
    prepared, _ = import_folder(
        given.path, given.output, options, given.format, _splitting(given), given.exif,
        given.skip_errors, _tell,
    )  # fmt: skip
    return prepared


def _tell(found: Recognised) -> None:
    images = sum(len(pairs) for pairs in found.pairs.values())
    names = found.class_file["classes"]
    shown = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")
    print(f"Found {found.format} ({found.evidence})")
    print(f"  {images} images, {len(names)} classes: {shown}")
    for note in found.notes:
        print(f"  {note}")


def _colors(arguments: argparse.Namespace) -> int:
    from keras_ctxseg.data_tools.prepare import color_lines, find_colors
    from keras_ctxseg.data_tools.prepare.pairing import find_sources

    if arguments.output and arguments.output.exists():
        raise ValueError(f"{arguments.output}: expected a file that does not exist yet")
    table = color_lines(find_colors(find_sources(arguments.masks).values()))
    if arguments.output is None:
        print(table, end="")
        return 0
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(table, encoding="utf-8")
    print(table, end="")
    masks = Path(arguments.masks)
    images = _images_beside(masks)
    output = masks.absolute().parent / "dataset"
    print(f"Next: name the classes in {arguments.output}; then")
    print(
        f"ctxseg prepare-data masks --images {shlex.quote(str(images)) if images else 'DIR'} "
        f"--masks {shlex.quote(str(masks))} --colors {shlex.quote(str(arguments.output))} "
        f"--output {shlex.quote(str(output))}"
    )
    return 0


def _images_beside(masks: Path) -> Path | None:
    """The folder beside that of the masks whose files have most of their names."""
    from keras_ctxseg.data.images import FileError
    from keras_ctxseg.data_tools.prepare.pairing import find_sources

    names = {Path(name).name for name in find_sources(masks)}
    best, most = None, 0
    for folder in sorted(masks.absolute().parent.iterdir()):
        if not folder.is_dir() or folder == masks.absolute():
            continue
        try:
            found = len(names & {Path(name).name for name in find_sources(folder)})
        except FileError:
            continue
        if found > most:
            best, most = masks.parent / folder.name, found
    return best


def _splitting(arguments: argparse.Namespace) -> Splitting:
    from keras_ctxseg.data_tools.prepare import Splitting

    return Splitting(arguments.val, arguments.test, arguments.seed, arguments.group_by)


def _splits(arguments: argparse.Namespace) -> dict:
    return {
        "splitting": _splitting(arguments),
        "splits": _words(arguments.splits),
        "exif": arguments.exif,
        "skip_errors": arguments.skip_errors,
    }


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _report(prepared: PreparedFolder) -> None:
    for problem in prepared.skipped:
        print(f"Left out: {problem}", file=sys.stderr)
    counts = ", ".join(f"{count} in {split}" for split, count in prepared.splits.items())
    print(f"Wrote {prepared.path}: {counts}; {len(prepared.class_names)} classes")
    if prepared.random_seed is not None:
        print(f"Split at random with seed {prepared.random_seed}")
    path = shlex.quote(str(prepared.path))
    if set(prepared.splits) == {"train"}:
        print(f"There is one split only; ctxseg prepare-data split {path} --output {path}_split")
    print(f"Next: ctxseg check-data {path}")
