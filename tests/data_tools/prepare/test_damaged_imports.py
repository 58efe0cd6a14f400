"""Random damage to the files of other formats: a named error, or masks; never a traceback.

15 damages of each format by default; `CTXSEG_DAMAGES=2000` tries that many.
"""

import json
import os
import shutil

import numpy as np
import pytest

from keras_ctxseg.data_tools.prepare import import_folder
from tests.data_tools.prepare import test_import_tools as tools
from tests.data_tools.prepare.test_damaged_annotations import damaged, masks_of

DAMAGES = int(os.environ.get("CTXSEG_DAMAGES", "15"))
SIZE = {"imageHeight": tools.HEIGHT, "imageWidth": tools.WIDTH}


def supervisely(folder):
    test = tools.TestSupervisely()
    part = tools.blob(2)[:16, :24]
    test.project(folder, [test.polygon(tools.STAR, [tools.HOLE]), test.bitmap(part, 30, 25)])
    return folder / "train/ann/a.png.json"


def label_studio(folder):
    test = tools.TestLabelStudio()
    results = [test.polygon(tools.STAR, "Road"), test.brush(tools.blob(3), "Car")]
    tools.write(folder / "p.json", test.tasks(folder, results))
    return folder / "p.json"


def darwin(folder):
    test = tools.TestDarwin()
    for name in "ab":
        tools.photo(folder / f"images/{name}.png", seed=ord(name))
        annotations = [
            {"id": "p", "name": "tree", "polygon": {"paths": [
                [{"x": x, "y": y} for x, y in tools.STAR]]}},
            {"id": "m", "name": "lake", "mask": {}},
            {"id": "r", "name": "__raster_layer__", "raster_layer": {
                "dense_rle": [0, 1000, 1, tools.HEIGHT * tools.WIDTH - 1000],
                "mask_annotation_ids_mapping": {"m": 1}}},
        ]  # fmt: skip
        tools.write(folder / f"annotations/{name}.json", test.file(f"{name}.png", annotations))
    return folder / "annotations/a.json"


def hasty(folder):
    for name in "ab":
        tools.photo(folder / f"{name}.png", seed=ord(name))
    labels = [{"class_name": "car", "bbox": [10, 20, 30, 32], "polygon": None, "z_index": 2,
               "mask": tools.row_runs(tools.blob(8)[:12, :20])},
              {"class_name": "road", "bbox": [8, 4, 54, 40], "polygon": tools.STAR, "mask": None,
               "z_index": 1}]  # fmt: skip
    tools.write(folder / "p.json", {
        "label_classes": [{"class_name": "road", "norder": 1}, {"class_name": "car", "norder": 2}],
        "images": [{"image_name": f"{name}.png", "dataset_name": "d", "width": tools.WIDTH,
                    "height": tools.HEIGHT, "labels": labels} for name in "ab"]})  # fmt: skip
    return folder / "p.json"


def geojson(folder):
    tools.TestGeoJson().write_set(folder, "EPSG:32632", [
        [500100, 5499950], [500400, 5499950], [500400, 5499850], [500100, 5499950]],
        "urn:ogc:def:crs:EPSG::32632")  # fmt: skip
    return folder / "fields.geojson"


def cvat(folder):
    for name in ("a", "sub/b"):
        tools.photo(folder / f"images/{name}.png", seed=len(name))
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in tools.STAR)
    rle = ", ".join(map(str, tools.row_runs(tools.blob()[12:32, 8:48])))
    tools.write(folder / "annotations.xml", tools.TestCvat.XML.format(
        w=tools.WIDTH, h=tools.HEIGHT, rle=rle, points=points))  # fmt: skip
    return folder / "annotations.xml"


def yolo(folder):
    for name in "ab":
        tools.photo(folder / f"images/{name}.png", seed=ord(name))
        tools.write(folder / f"labels/{name}.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0 0 1 0 1 1 0 1\n")
    tools.write(folder / "data.yaml", "names: [road, car]\n")
    return folder / "labels/a.txt"


def kaggle(folder):
    for name in "ab":
        tools.photo(folder / f"{name}.png", seed=ord(name))
    tools.write(folder / "train.csv", "ImageId,EncodedPixels,ClassId\na.png,1 30 90 4,1\n"
                "b.png,,1\na.png,300 20,2\n")  # fmt: skip
    return folder / "train.csv"


def altered_text(content, rng):
    content = bytearray(content)
    place = int(rng.integers(len(content)))
    kind = rng.integers(4)
    if kind == 0:
        return bytes(content[:place])
    if kind == 1:
        content[place] = rng.integers(256)
    elif kind == 2:
        del content[place : place + int(rng.integers(1, 12))]
    else:
        words = [b"nan", b"1e300", b"-7", b"<x>", b"\xff", b"99999999999999999999", b",", b" "]
        content[place:place] = words[rng.integers(len(words))]
    return bytes(content)


@pytest.mark.parametrize(
    "make", [supervisely, label_studio, darwin, hasty, geojson, cvat, yolo, kaggle]
)
def test_damage(make, tmp_path):
    folder, output = tmp_path / "in", tmp_path / "out"
    source = make(folder)
    import_folder(folder, output)
    content = source.read_bytes()
    rng = np.random.default_rng(26)
    errors = 0
    for number in range(DAMAGES):
        if source.suffix in (".json", ".geojson"):
            source.write_bytes(damaged(json.loads(content), rng)[0])
        else:
            source.write_bytes(altered_text(content, rng))
        shutil.rmtree(output, ignore_errors=True)
        try:
            prepared, _ = import_folder(folder, output, skip_errors=bool(number % 2))
        except ValueError as error:
            named = ("Expected annotations", "Expected at least", str(output))
            assert str(folder) in str(error) or str(error).startswith(named), error
            errors += 1
            continue
        masks = masks_of(output)
        assert len(masks) == sum(prepared.splits.values())
        for mask in masks.values():
            assert set(np.unique(mask)) <= {*range(len(prepared.class_names)), 255}
    assert errors
