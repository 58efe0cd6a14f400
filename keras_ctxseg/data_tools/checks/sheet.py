"""The result of a check as one HTML file with thumbnails."""

import datetime
import importlib.resources
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_ctxseg.data.class_file import ClassTable
from keras_ctxseg.data.folder_checks import read_folder_classes
from keras_ctxseg.data.folder_layout import ExamplePaths, scan_folder
from keras_ctxseg.data.images import FileError, read_image
from keras_ctxseg.data.masks import known_ids, read_raw_mask
from keras_ctxseg.data.palettes import colorize, default_palette, overlay
from keras_ctxseg.data_tools.checks.findings import KINDS, Finding
from keras_ctxseg.data_tools.checks.report import DataReport
from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.pages.page import fitting_size, jpeg_uri, png_uri, render_page, shrink_ids

TEMPLATE = "sheet.html.j2"
_LONGEST_SIDE = 320  # pixels
_LINES = 50
_PICTURES = 4
_UNDECLARED = (255, 0, 255)  # undeclared ids are meant to strike the eye


def write_sheet(
    report: DataReport, path: str | os.PathLike, classes: str | os.PathLike | None = None
) -> Path:
    """Write a self-contained page: findings with thumbnails, the class histogram, some pairs.

    The file needs no network and no other file, follows the reader's light or dark theme and fits
    a phone.

    Args:
        report: of `check`.
        path: of the HTML file; folders are made where missing.
        classes: the class file that `check` was given, if any.
    """
    path = Path(path)
    pictures = _Pictures(report, classes)
    splits = scan_folder(report.root).splits
    by_file = {file: pair for pairs in splits.values() for pair in pairs
               for file in (pair.image, pair.mask)}  # fmt: skip
    now = datetime.datetime.now().astimezone()
    html = render_page(
        importlib.resources.files(__package__).joinpath(TEMPLATE),
        title=f"Data of {report.root.resolve().name}",
        report=report,
        groups=[
            (
                KINDS[code],
                report.advice.get(code, ""),
                [(_below(f.path, report.root), f.message) for f in findings[:_LINES]],
                max(0, len(findings) - _LINES),
                pictures.of(_pairs(findings, by_file)),
            )
            for code, findings in report.groups()
        ],
        classes=_class_rows(report),
        bars=[*report.splits, None][:2],
        pairs=[
            (split, pictures.of(pairs[:: max(1, len(pairs) // _PICTURES)][:_PICTURES]))
            for split, pairs in splits.items()
        ],
        facts={
            "Folder": report.root,
            "Masks": report.mask_format,
            "Ids found": report.found,
            "Ids declared": report.declared,
            **{
                f"Sizes in {split}": ", ".join(
                    f"{height}×{width} ({count})"
                    for (height, width), count in list(facts.sizes.items())[:12]
                )
                for split, facts in report.splits.items()
            },
            "Written": now.strftime("%Y-%m-%d %H:%M %Z"),
        },
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8", errors="backslashreplace")
    return path


class _Pictures:
    """Image, mask and overlay of pairs, as far as they can be read."""

    def __init__(self, report: DataReport, classes: str | os.PathLike | None):
        self._root, self._format = report.root, report.mask_format
        self._reading = report.reading
        self._table: ClassTable | None = None
        self._palette = default_palette(IGNORE_LABEL)
        try:
            self._table = read_folder_classes(report.root, classes, report.mask_format)
            self._palette = np.concatenate([self._table.palette, [_UNDECLARED]]).astype(np.uint8)
        except FileError:
            pass  # among the findings

    def of(self, pairs: Iterable[ExamplePaths]) -> list[dict[str, Any]]:
        samples = [
            {"name": str(pair.image.relative_to(self._root)), "pictures": self._pair(pair)}
            for pair in pairs
        ]
        return [sample for sample in samples if sample["pictures"]]

    def _pair(self, pair: ExamplePaths) -> list[dict[str, str]]:
        image = mask = None
        pictures = []
        try:
            pixels = read_image(pair.image, self._reading)
            image = _shrink(self._reading.shown(pixels))
            pictures.append({"caption": "image", "uri": jpeg_uri(image)})
        except ValueError:
            pass
        try:
            mask = self._ids(pair.mask)
            pictures.append({"caption": "mask", "uri": png_uri(colorize(mask, self._palette))})
        except FileError:
            try:
                stored = _shrink(read_image(pair.mask))
                pictures.append({"caption": "mask as stored", "uri": jpeg_uri(stored)})
            except ValueError:
                pass
        if image is not None and mask is not None and mask.shape == (image.height, image.width):
            mixed = overlay(np.asarray(image), mask, self._palette)
            pictures.append({"caption": "overlay", "uri": jpeg_uri(Image.fromarray(mixed))})
        return pictures

    def _ids(self, path: Path) -> np.ndarray:
        raw = read_raw_mask(path, self._format)
        ids = raw
        if self._table:
            ids = known_ids(raw, self._table, self._format).astype(np.int32)
            ids[ids == IGNORE_LABEL] = -2  # drawn black
            ids[ids == -1] = len(self._palette) - 1
        return shrink_ids(ids, fitting_size(ids.shape[0], ids.shape[1], _LONGEST_SIDE))


def _below(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) and path != root else path


def _shrink(rgb: np.ndarray) -> Image.Image:
    size = fitting_size(rgb.shape[0], rgb.shape[1], _LONGEST_SIDE)
    return Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR)


def _pairs(findings: Iterable[Finding], by_file: dict[Path, ExamplePaths]) -> list[ExamplePaths]:
    found = dict.fromkeys(by_file[f.path] for f in findings if f.path in by_file)
    return list(found)[:_PICTURES]


def _class_rows(report: DataReport) -> list[dict[str, Any]]:
    weights = report.class_weights
    return [
        {
            "id": index,
            "name": name,
            "color": "#{:02x}{:02x}{:02x}".format(*report.palette[index]),
            "shares": [
                facts.pixels[index] / max(1, facts.pixels.sum()) for facts in report.splits.values()
            ],
            "images": [int(facts.images[index]) for facts in report.splits.values()],
            "weight": weights[index] if weights else None,
        }
        for index, name in enumerate(report.class_names)
    ]
