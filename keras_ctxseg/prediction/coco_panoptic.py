"""COCO's format for panoptic segmentation: a PNG an image, and one JSON file.

The PNG's pixels are segment ids, red + 256 green + 65,536 blue; 0 is void. The JSON file lists

    images       [{id, file_name, height, width}]
    annotations  [{image_id, file_name, segments_info: [{id, category_id, area, bbox, iscrowd}]}]
    categories   [{id, name, isthing, color, supercategory}]

bbox being left, top, width and height. Predictions have a `score` too, which COCO ignores. What is
written here, COCO's panopticapi evaluates:

    python -m panopticapi.evaluation --gt_json_file truth.json --pred_json_file predictions.json

Reference: https://cocodataset.org/#format-data, section 4.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from keras_ctxseg.labels.panoptic import CROWD, IGNORE_LABEL, STEP, class_ids, instance_numbers

LARGEST_ID = (1 << 24) - 1


def ids_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Segment ids as colours: uint8 (height, width, 3)."""
    if ids.size and not 0 <= ids.min() <= ids.max() <= LARGEST_ID:
        raise ValueError(
            f"`ids`: expected segment ids in 0 ... {LARGEST_ID}. "
            f"Received: {ids.min()} ... {ids.max()}"
        )
    return np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)


def rgb_to_ids(colors: np.ndarray) -> np.ndarray:
    """int64 (height, width) segment ids from colours."""
    return colors[..., :3].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])


@dataclass
class CocoPanopticWriter:
    """Writes `<folder>/<name>.png` for each image, and `<folder>.json` at the end.

    Args:
        folder: made where missing.
        class_names: in the order of the class ids.
        palette: uint8 (classes, 3).
        thing_classes: class ids.
        category_ids: the JSON file's id of each class; the class ids plus 1 where missing (0 is
            what some readers take for none).
        ignore_label: the class of void pixels.
    """

    folder: Path
    class_names: Sequence[str]
    palette: np.ndarray
    thing_classes: Sequence[int]
    category_ids: Sequence[int] | None = None
    ignore_label: int = IGNORE_LABEL
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self):
        self.folder = Path(self.folder)
        if self.category_ids is None:
            self.category_ids = range(1, len(self.class_names) + 1)

    def add(
        self,
        name: str,
        labels: np.ndarray,
        scores: Mapping[int, float] | None = None,
        image_file: str | None = None,
        image_id: int | str | None = None,
    ) -> dict[str, Any]:
        """Writes one image's segments.

        Args:
            name: of the PNG, without its ending; "/" makes folders.
            labels: integer (height, width), panoptic label map: class + 1024 * instance.
            scores: by the labels' values.
            image_file: file name of the image; `name`.jpg where missing.
            image_id: number or text; the name where missing.

        Returns:
            The annotation.
        """
        assert self.category_ids is not None
        present, places = np.unique(labels, return_inverse=True)
        places = places.reshape(labels.shape)
        is_segment = class_ids(present) != self.ignore_label
        ids = np.where(is_segment, np.cumsum(is_segment), 0)
        path = self.folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(ids_to_rgb(ids[places])).save(path)
        areas = np.bincount(places.ravel(), minlength=len(present))
        boxes = ndimage.find_objects(places + 1)
        info = [
            {
                "id": int(ids[k]),
                "category_id": int(self.category_ids[class_ids(int(value))]),
                "area": int(areas[k]),
                "bbox": _bbox(boxes[k]),
                "iscrowd": int(instance_numbers(value) == CROWD),
                **({"score": round(float(scores[int(value)]), 6)} if scores else {}),
            }
            for k, value in enumerate(present)
            if is_segment[k]
        ]
        key = name if image_id is None else image_id
        height, width = labels.shape
        self.images.append(
            {
                "id": key,
                "file_name": image_file or f"{name}.jpg",
                "height": height,
                "width": width,
            }
        )
        annotation = {"image_id": key, "file_name": f"{name}.png", "segments_info": info}
        self.annotations.append(annotation)
        return annotation

    def close(self) -> Path:
        """Writes the JSON file beside the folder, and returns its path."""
        assert self.category_ids is not None
        categories = [
            {
                "id": int(category),
                "name": name,
                "supercategory": name,
                "isthing": int(k in self.thing_classes),
                "color": [int(value) for value in self.palette[k]],
            }
            for k, (category, name) in enumerate(
                zip(self.category_ids, self.class_names, strict=True)
            )
        ]
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder.with_name(f"{self.folder.name}.json")
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")
        return path


def read_coco_panoptic(
    file: str | os.PathLike,
    folder: str | os.PathLike | None = None,
    ignore_label: int = IGNORE_LABEL,
) -> dict[int | str, np.ndarray]:
    """The panoptic label maps of a JSON file and its PNGs, by image id.

    Classes are numbered in the order of the file's categories; instances in that of an image's
    segments.

    Args:
        file: the JSON file.
        folder: of the PNGs; the JSON file's name without its ending where missing.
        ignore_label: what pixels of no segment get.

    Raises:
        ValueError: no such file, a segment of a category that the file does not list, or a PNG with
            an id that the JSON file lacks; names the file.
    """
    file = Path(file)
    folder = file.with_suffix("") if folder is None else Path(folder)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        categories = content["categories"]
        annotations = content["annotations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: expected COCO's panoptic JSON, with `annotations` and `categories`. "
            f"Found: {error!r}"
        ) from error
    classes = {category["id"]: k for k, category in enumerate(categories)}
    things = {category["id"] for category in categories if category["isthing"]}
    maps = {}
    for annotation in annotations:
        path = folder / annotation["file_name"]
        values = {0: ignore_label}
        for number, segment in enumerate(annotation["segments_info"], start=1):
            category = segment["category_id"]
            if category not in classes:
                raise ValueError(
                    f"{file}: image {annotation['image_id']!r}: expected one of the file's "
                    f"categories. Found: category_id {category}"
                )
            instance = number if category in things else 0
            if segment.get("iscrowd", 0):
                instance = CROWD
            values[segment["id"]] = classes[category] + STEP * instance
        try:
            with Image.open(path) as image:
                ids = rgb_to_ids(np.array(image.convert("RGB")))
        except OSError as error:
            raise ValueError(f"{path}: expected a PNG of segment ids. Found: {error}") from error
        present, places = np.unique(ids, return_inverse=True)
        unknown = [int(value) for value in present if int(value) not in values]
        if unknown:
            raise ValueError(
                f"{path}: expected the ids of segments that {file.name} lists. "
                f"Found: {', '.join(map(str, unknown[:5]))}"
            )
        table = np.array([values[int(value)] for value in present], np.int32)
        maps[annotation["image_id"]] = table[places].reshape(ids.shape)
    return maps


def _bbox(box: tuple[slice, slice]) -> list[int]:
    rows, columns = box
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
