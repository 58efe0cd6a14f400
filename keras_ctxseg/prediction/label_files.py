"""Writes label maps as palette PNGs, raw ids, or the Cityscapes and ADE20K submission formats."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.builders.cityscapes_classes import CLASSES
from keras_ctxseg.data.palettes import save_palette_png
from keras_ctxseg.prediction.formats import FORMATS

ADE20K_CLASSES = 150

_CITYSCAPES_NAME = re.compile(r"([a-z-]+_\d{6}_\d{6})(_.*)?", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class LabelFormat:
    """How label maps are written; `label_format` makes one.

    Attributes:
        name: one of `FORMATS`.
        written_ids: (classes,) integers, what stands in the file for each class id.
        palette: uint8 (classes, 3) RGB; used by "palette" only.
    """

    name: str
    written_ids: np.ndarray
    palette: np.ndarray

    def file_name(self, name: Path) -> Path:
        """The relative path of a label file, from that of its image without suffix.

        Raises:
            ValueError: an image whose name tells Cityscapes' server nothing.
        """
        if self.name != "cityscapes":
            return name.with_name(f"{name.name}.png")
        match = _CITYSCAPES_NAME.fullmatch(name.name)
        if match is None:
            raise ValueError(
                f"{name}: the format 'cityscapes' expects images named <city>_123456_123456 or "
                "<city>_123456_123456_leftImg8bit. Found another name"
            )
        return name.with_name(f"{match[1]}_pred.png")

    def save(self, path: str | os.PathLike, labels: np.ndarray) -> None:
        """Writes class ids `(height, width)` as a PNG."""
        if self.name == "palette":
            save_palette_png(path, labels, self.palette)
            return
        written = self.written_ids[labels]
        depth = np.uint8 if self.written_ids.max() < 256 else np.uint16
        Image.fromarray(written.astype(depth)).save(path, format="PNG")


def label_format(name: str, class_names: Sequence[str], palette: np.ndarray) -> LabelFormat:
    """Looks up a format and checks that the classes fit it.

    Args:
        name: "palette": 8-bit PNG of class ids that shows in the classes' colours; "ids": grey PNG
            of class ids, 8 or, beyond 256 classes, 16 bits; "cityscapes": grey PNG of Cityscapes'
            label ids (7 for road, not the training id 0), named `<city>_123456_123456_pred.png`;
            "ade20k": grey PNG of 1 ... 150, named like the image.
        class_names: in the order of the class ids.
        palette: uint8 (classes, 3) RGB.

    Raises:
        ValueError: no such format, or classes that are not the benchmark's.

    Reference: cityscapesscripts, evaluation/evalPixelLevelSemanticLabeling.py (`getPrediction`);
    the readme of the MIT Scene Parsing Benchmark's development kit, "Submission format".
    """
    if name not in FORMATS:
        raise ValueError(
            f"`format` must be one of {', '.join(FORMATS)}. Received: {name!r}."
            f"{nearest(name, FORMATS)}"
        )
    ids = np.arange(len(class_names))
    if name == "palette" and len(class_names) > 255:
        raise ValueError(
            "The format 'palette' holds 255 classes at most; 'ids' holds more. "
            f"Received: {len(class_names)} classes"
        )
    if name == "ade20k":
        if len(class_names) != ADE20K_CLASSES:
            raise ValueError(
                f"The format 'ade20k' expects the benchmark's {ADE20K_CLASSES} classes. "
                f"Received: {len(class_names)} classes"
            )
        ids = ids + 1  # 0 stands for "other objects", which no class is
    if name == "cityscapes":
        ids = _cityscapes_ids(class_names)
    return LabelFormat(name, ids, np.asarray(palette, np.uint8))


def _cityscapes_ids(class_names: Sequence[str]) -> np.ndarray:
    known = {name: label_id for name, label_id, _ in CLASSES}
    plain = [name.lower().replace("_", " ").strip() for name in class_names]
    unknown = [name for name in plain if name not in known]
    if unknown or len(set(plain)) != len(known):
        wrong = unknown or sorted(set(known) - set(plain))
        raise ValueError(
            f"The format 'cityscapes' expects the benchmark's {len(known)} classes, by their "
            f"names. Received: {len(class_names)} classes, "
            f"{'among them' if unknown else 'without'} {', '.join(wrong[:5])}"
        )
    return np.array([known[name] for name in plain])
