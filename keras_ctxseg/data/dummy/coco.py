"""COCO 2017's images with the label images of COCO-Stuff, or with the panoptic annotations."""

import json
import zipfile
from pathlib import Path

import numpy as np

from keras_ctxseg.data.builders.coco_classes import PANOPTIC_IDS, PANOPTIC_NAMES, STUFF_IDS
from keras_ctxseg.data.dummy.pictures import Pictures

_YEARS = ("train2017", "val2017")
_SEGMENTS = 6


def write_coco_stuff(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images in each of train and val."""
    for year, start in zip(_YEARS, (0, 100), strict=True):
        for index in range(start, start + count):
            pictures.image(root / "images" / year / f"{index:012d}.jpg")
            label = root / "annotations" / year / f"{index:012d}.png"
            pictures.ids(label, [*(raw - 1 for raw in STUFF_IDS), 255])


def write_coco_panoptic(root: Path, pictures: Pictures, count: int) -> None:
    """`count` images in each of train and val; the first one's last segment is a crowd."""
    for year, start in zip(_YEARS, (0, 100), strict=True):
        images, annotations = [], []
        folder = root / "annotations"
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(folder / f"panoptic_{year}.zip", "w") as archive:
            for index in range(start, start + count):
                name = f"{index:012d}"
                pictures.image(root / year / f"{name}.jpg")
                segments = pictures.random.choice(1 << 24, _SEGMENTS, replace=False) + 1
                segments = np.minimum(segments, (1 << 24) - 1)
                drawn = pictures.blocks([0, *segments])  # 0 is unlabelled
                channels = np.stack([drawn >> shift & 255 for shift in (0, 8, 16)], axis=-1)
                file = root / f"{name}.png"
                pictures.write(file, channels)
                archive.write(file, f"panoptic_{year}/{name}.png")
                file.unlink()
                height, width = pictures.size
                images.append(
                    {"id": index, "file_name": f"{name}.jpg", "height": height, "width": width}
                )
                annotations.append(
                    {
                        "image_id": index,
                        "file_name": f"{name}.png",
                        "segments_info": [
                            _segment(drawn, int(segment), pictures, crowd=segment == segments[-1])
                            for segment in segments
                        ],
                    }
                )
        categories = [
            {"id": category, "name": name}
            for category, name in zip(PANOPTIC_IDS, PANOPTIC_NAMES, strict=True)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / f"panoptic_{year}.json").write_text(json.dumps(content))


def _segment(drawn: np.ndarray, segment: int, pictures: Pictures, crowd: bool) -> dict:
    rows, columns = np.nonzero(drawn == segment)
    box = [0, 0, 0, 0]
    if rows.size:
        left, top = int(columns.min()), int(rows.min())
        box = [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1]
    return {
        "id": segment,
        "category_id": int(pictures.random.choice(PANOPTIC_IDS)),
        "area": int(rows.size),
        "bbox": box,
        "iscrowd": int(crowd),
    }
