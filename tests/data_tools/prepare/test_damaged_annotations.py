"""Random damage to COCO and LabelMe files: a named error, or the right masks; never a crash.

150 damages of each kind by default; `CTXSEG_DAMAGES=2000` tries that many.
"""

import copy
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from keras_ctxseg.data_tools.prepare import prepare_coco, prepare_labelme

DAMAGES = int(os.environ.get("CTXSEG_DAMAGES", "150"))
HEIGHT, WIDTH = 48, 64
STENCIL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR4nGP8zwABTAwUMQBJQQEPeWDz+AAAAABJRU5ErkJg"
    "gg=="
)
VALUES = [
    None, True, False, 0, 1, -1, 2, 0.5, 1e9, -1e9, 1e30, 10**30, float("nan"), float("inf"), "",
    "x", "\ud800", "a\0b", "../x", "/dev/zero", "/proc/self/mem", "A" * 3000, [], {}, [[]], [None],
    [1], [1, 2, 3, 4], [[1, 2, 3, 4]], [[0, 0, 1e9, 0, 1e9, 1e9]], ["x"] * 8, {"size": [48, 64]},
    {"size": [48, 64], "counts": "x"}, {"size": [48, 64], "counts": [1]}, 1000000000, 48.5,
    {"size": [48, 64], "counts": [-1, 3073]}, {"size": [1 << 20, 1 << 20], "counts": [1 << 40]},
]  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    noise = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"train{number}.png")
    return folder


def nodes(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        if isinstance(child, (dict, list)):
            yield from nodes(child, (*path, key))
        else:
            yield (*path, key)


def damaged(content, rng):
    """The damaged text, and the path of what was changed (None where it may be anything)."""
    kind = rng.integers(8)
    if kind == 0:
        text = bytearray(json.dumps(content).encode())
        if rng.integers(2):
            return bytes(text[: rng.integers(len(text))]), None
        text[rng.integers(len(text))] = rng.integers(256)
        return bytes(text), None
    content = copy.deepcopy(content)
    paths = [path for path in nodes(content) if path]
    path = paths[rng.integers(len(paths))]
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if kind == 1:
        del parent[path[-1]]
    elif kind == 2 and isinstance(parent, list):
        parent.append(parent[path[-1]])
    else:
        parent[path[-1]] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(content).encode(), path


def masks_of(root):
    return {path.stem: np.asarray(Image.open(path)) for path in root.glob("*/labels/*.png")}


def attempt(prepare, source, output, affected, expected):
    """`prepare` gives an error that names the file, or masks: the old ones where not affected."""
    shutil.rmtree(output, ignore_errors=True)
    try:
        prepared = prepare(output)
    except ValueError as error:
        named = ("`classes`", "Expected annotations", "Expected at least", str(output))
        assert str(source) in str(error) or str(error).startswith(named), error
        assert not output.exists()
        return "error"
    masks = masks_of(output)
    assert len(masks) == sum(prepared.splits.values())
    for name, mask in masks.items():
        assert mask.shape == (HEIGHT, WIDTH)
        assert set(np.unique(mask)) <= {*range(len(prepared.class_names)), 255}
        if affected is not None and name not in affected:
            np.testing.assert_array_equal(mask, expected[name])
    return "skipped" if prepared.skipped else "written"


def test_coco(images, tmp_path):
    region = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    region[3:9, 4:30] = 1
    packed = coco_mask.encode(region)
    content = {
        "images": [
            {"id": n, "file_name": f"train{n}.png", "height": HEIGHT, "width": WIDTH}
            for n in range(3)
        ],
        "categories": [{"id": 7, "name": "car"}, {"id": 3, "name": "road"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 7, "iscrowd": 0,
             "segmentation": [[5, 5, 30, 5, 30, 30]], "area": 10, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 1, "category_id": 3, "iscrowd": 1,
             "segmentation": {"size": [HEIGHT, WIDTH], "counts": [100, 200, 2772]}},
            {"id": 3, "image_id": 2, "category_id": 3, "iscrowd": 0,
             "segmentation": {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}},
        ],
    }  # fmt: skip
    source = tmp_path / "a.json"
    source.write_text(json.dumps(content))
    prepare_coco(str(source), str(images), tmp_path / "right")
    expected = masks_of(tmp_path / "right")
    np.testing.assert_array_equal(expected["train2"], 1 * region)  # "road" has the lower id
    rng = np.random.default_rng(26)
    outcomes = []
    for number in range(DAMAGES):
        text, path = damaged(content, rng)
        source.write_bytes(text)
        affected = None
        if path and path[0] == "annotations" and len(path) > 1 and "category_id" not in path:
            affected = {"train0", "train1", "train2"} if path[-1] == "image_id" else set()
            affected.add(f"train{path[1]}")

        def prepare(output, skip=bool(number % 2)):
            return prepare_coco(str(source), str(images), output, skip_errors=skip)

        outcomes.append(attempt(prepare, source, tmp_path / "out", affected, expected))
    assert {"error", "skipped", "written"} == set(outcomes)


def test_labelme(images, tmp_path):
    shapes = [
        {"label": "car", "points": [[1, 1], [30, 1], [30, 30]], "shape_type": "polygon"},
        {"label": "road", "points": [[1, 1], [20, 20]], "shape_type": "rectangle"},
        {"label": "car", "points": [[10, 10], [12, 12]], "shape_type": "circle"},
        {"label": "car", "points": [[1, 1], [9, 9]], "shape_type": "line"},
        {"label": "m", "points": [[2, 2], [9, 9]], "shape_type": "mask", "mask": STENCIL},
    ]
    folder = tmp_path / "json"
    folder.mkdir()
    contents = [
        {"version": "5.0", "shapes": shapes, "imagePath": f"..\\d\\train{number}.png",
         "imageData": None, "imageHeight": HEIGHT, "imageWidth": WIDTH}
        for number in range(3)
    ]  # fmt: skip
    for number, content in enumerate(contents):
        (folder / f"train{number}.json").write_text(json.dumps(content))
    options = {"images": str(images), "classes": "car,road,m"}
    prepare_labelme(str(folder), tmp_path / "right", **options)
    expected = masks_of(tmp_path / "right")
    assert (expected["train0"][2:10, 2:10] > 0).any()
    rng = np.random.default_rng(26)
    outcomes = []
    for number in range(DAMAGES):
        text, _ = damaged(contents[0], rng)
        (folder / "train0.json").write_bytes(text)

        def prepare(output, skip=bool(number % 2)):
            return prepare_labelme(str(folder), output, skip_errors=skip, **options)

        outcomes.append(attempt(prepare, folder, tmp_path / "out", {"train0"}, expected))
    assert {"error", "skipped", "written"} == set(outcomes)
