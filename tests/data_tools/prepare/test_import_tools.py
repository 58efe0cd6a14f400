"""Annotation tools' exports, written here as the tools write them, against readings of their own.

Masks and boxes are compared pixel by pixel; polygons where a pixel's centre is further than a pixel
from the outline, since tools differ there.
"""

import base64
import csv
import io
import itertools
import json
import zlib

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image
from pycocotools import mask as coco_mask

from keras_ctxseg.cli import main
from keras_ctxseg.data_tools.prepare import import_base

HEIGHT, WIDTH = 44, 60
STAR = [[10.0, 6.0], [50.0, 4.0], [54.0, 38.0], [30.0, 18.0], [8.0, 40.0]]
HOLE = [[20.0, 9.0], [40.0, 9.0], [40.0, 14.0], [20.0, 14.0]]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "export"


def photo(path, size=(HEIGHT, WIDTH), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")


@pytest.fixture
def imported(folder, tmp_path, capsys, labels_of):
    """Runs the command; returns masks by name, what it printed, and the class names."""

    def run(*arguments):
        output = tmp_path / "out"
        code = main(["prepare-data", "import", str(folder), "--output", str(output), *arguments])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        names = json.loads((output / "classes.json").read_text())["classes"]
        return labels_of(output), printed.out, names

    return run


def inside(points):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    centres = np.stack([columns.ravel(), rows.ravel()], 1)
    return Outline(points).contains_points(centres).reshape(HEIGHT, WIDTH)


def sure(*rings, margin=1.2):
    """Pixels further than about a pixel from each outline."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    nearest = np.full((HEIGHT, WIDTH), np.inf)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
            dx, dy = x1 - x0, y1 - y0
            along = np.clip(((columns - x0) * dx + (rows - y0) * dy) / (dx * dx + dy * dy), 0, 1)
            away = np.hypot(columns - x0 - along * dx, rows - y0 - along * dy)
            nearest = np.minimum(nearest, away)
    found = nearest > margin
    assert found.mean() > 0.6
    return found


def assert_polygon(region, points, *holes, margin=1.2):
    expected = inside(points)
    for hole in holes:
        expected &= ~inside(hole)
    known = sure(points, *holes, margin=margin)
    np.testing.assert_array_equal(region[known], expected[known])


def blob(seed=1):
    """A random region, as a brush paints it."""
    coarse = np.random.default_rng(seed).random((HEIGHT // 4, WIDTH // 4)) < 0.4
    return coarse.repeat(4, 0).repeat(4, 1)


def row_runs(region):
    flat = np.concatenate([[0], region.ravel().astype(int)])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], edges, [region.size]])).tolist()


class TestCvat:
    XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><job><id>7</id><size>2</size><labels>
    <label><name>road</name><color>#804080</color><type>any</type><attributes></attributes></label>
    <label><name>car</name><color>#00008e</color><type>any</type><attributes></attributes></label>
  </labels></job></meta>
  <image id="0" name="a.png" width="{w}" height="{h}">
    <mask label="car" source="manual" occluded="0" rle="{rle}" left="8" top="12" width="40" height="20" z_order="2">
    </mask>
    <polygon label="road" source="manual" occluded="0" points="{points}" z_order="0"></polygon>
    <box label="car" source="manual" occluded="0" xtl="2.00" ytl="1.00" xbr="6.00" ybr="5.00" z_order="1"></box>
    <polyline label="road" points="1,1;5,5" z_order="0"></polyline>
  </image>
  <image id="1" name="sub/b.png" width="{w}" height="{h}">
    <ellipse label="car" source="manual" occluded="0" cx="30.00" cy="20.00" rx="15.00" ry="8.00" z_order="0"></ellipse>
  </image>
</annotations>"""  # noqa: E501

    VIDEO = """<annotations><version>1.1</version>
  <track id="0" label="car" source="manual">
    <box frame="0" keyframe="1" outside="0" occluded="0" xtl="2.00" ytl="3.00" xbr="9.00" ybr="7.00" z_order="0"></box>
    <box frame="1" keyframe="0" outside="0" occluded="0" xtl="4.00" ytl="3.00" xbr="11.00" ybr="7.00" z_order="0"></box>
    <box frame="2" keyframe="1" outside="1" occluded="0" xtl="4.00" ytl="3.00" xbr="11.00" ybr="7.00" z_order="0"></box>
  </track></annotations>"""  # noqa: E501

    def test_images_1_1(self, folder, imported):
        part = blob()[12:32, 8:48]
        for name in ("a", "sub/b"):
            photo(folder / f"images/{name}.png", seed=len(name))
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in STAR)
        rle = ", ".join(map(str, row_runs(part)))
        write(folder / "annotations.xml",
              self.XML.format(w=WIDTH, h=HEIGHT, rle=rle, points=points))  # fmt: skip
        masks, printed, names = imported()
        assert names == ["background", "road", "car"]
        assert "Found CVAT for images" in printed and "1 shapes of the kind polyline" in printed
        brush = np.zeros((HEIGHT, WIDTH), bool)
        brush[12:32, 8:48] = part
        np.testing.assert_array_equal((masks["a"] == 2)[6:], brush[6:])
        np.testing.assert_array_equal((masks["a"] == 2)[1:5, 2:6], True)
        assert (masks["a"] == 2)[:6].sum() == 16  # the box, from 2 to 6 and 1 to 5
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        distance = np.hypot((columns - 30) / 15, (rows - 20) / 8)
        clear = np.abs(distance - 1) > 0.15
        np.testing.assert_array_equal((masks["sub__b"] == 2)[clear], (distance < 1)[clear])
        road = (masks["a"] == 1) | brush
        known = sure(STAR) & ~brush & ((rows > 6) | (columns > 7))
        np.testing.assert_array_equal(road[known], inside(STAR)[known])

    def test_damaged(self, folder, tmp_path, capsys):
        for name in ("a", "sub/b"):
            photo(folder / f"images/{name}.png", seed=len(name))
        text = self.XML.format(w=WIDTH, h=HEIGHT, rle="5, 5", points="1,nan;x,2;3,3")
        write(folder / "annotations.xml", text)
        arguments = ["prepare-data", "import", str(folder), "--output", str(tmp_path / "out")]
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert "annotations.xml: image 'a.png', mask" in error
        assert "expected run lengths of 800 pixels in all. Found: 10" in error
        assert "annotations.xml: image 'a.png', polygon" in error
        assert main([*arguments, "--skip-errors"]) == 0

    def test_video_1_1(self, folder, imported):
        for frame in (0, 1):
            photo(folder / f"images/frame_{frame:06d}.PNG", seed=frame)
        write(
            folder / "annotations.xml",
            self.VIDEO,
        )
        masks, *_ = imported()
        assert set(masks) == {"frame_000000", "frame_000001"}
        for name, left in (("frame_000000", 2), ("frame_000001", 4)):
            expected = np.zeros((HEIGHT, WIDTH), np.uint8)
            expected[3:7, left : left + 7] = 1
            np.testing.assert_array_equal(masks[name], expected)


class TestSupervisely:
    def project(self, folder, objects):
        write(folder / "meta.json", {"classes": [
            {"title": "road", "shape": "polygon", "color": "#804080", "id": 1, "hotkey": ""},
            {"title": "car", "shape": "bitmap", "color": "#00008E", "id": 2, "hotkey": ""},
        ], "tags": [], "projectType": "images"})  # fmt: skip
        for dataset, name, some in (("train", "a", objects), ("val", "b", [])):
            photo(folder / dataset / "img" / f"{name}.png", seed=len(name))
            write(folder / dataset / "ann" / f"{name}.png.json", {
                "description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH},
                "objects": some})  # fmt: skip

    def bitmap(self, region, left, top):
        """As `sly.Bitmap.data_2_base64`: a palette PNG with a transparent 0, packed by zlib."""
        image = Image.fromarray(region.astype(np.uint8))
        image.putpalette([0, 0, 0, 255, 255, 255])
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", transparency=0, optimize=0)
        data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
        return {"classTitle": "car", "geometryType": "bitmap", "tags": [],
                "bitmap": {"data": data, "origin": [left, top]},
                "points": {"exterior": [], "interior": []}}  # fmt: skip

    def polygon(self, exterior, interior=()):
        return {"classTitle": "road", "geometryType": "polygon", "tags": [], "bitmap": None,
                "points": {"exterior": exterior, "interior": list(interior)}}  # fmt: skip

    def test_bitmap_over_polygon_with_hole(self, folder, imported):
        part = blob(2)[:16, :24]
        self.project(folder, [self.polygon(STAR, [HOLE]), self.bitmap(part, 30, 25)])
        masks, printed, names = imported()
        assert names == ["background", "road", "car"]
        assert "1 in train, 1 in val" in printed and "random" not in printed
        brush = np.zeros((HEIGHT, WIDTH), bool)
        brush[25:41, 30:54] = part
        np.testing.assert_array_equal(masks["train__a"] == 2, brush)
        rest = np.where(brush, inside(STAR), masks["train__a"] == 1)
        assert_polygon(rest, STAR, HOLE)

    def test_tags_name_the_splits(self, folder, imported):
        self.project(folder, [])
        for path in folder.glob("*/ann/*.json"):
            content = json.loads(path.read_text())
            content["tags"] = [{"name": "val" if path.name.startswith("a") else "train"}]
            write(path, content)
        assert "1 in train, 1 in val" in imported()[1]

    def test_rectangle_ends_are_inside(self, folder, imported):
        box = self.polygon([[5, 7], [20, 11]]) | {"geometryType": "rectangle"}
        self.project(folder, [box])
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        expected[7:12, 5:21] = 1
        np.testing.assert_array_equal(imported()[0]["train__a"], expected)


CONTROL = {"origin": "manual", "to_name": "image", "from_name": "tag", "image_rotation": 0,
           "original_width": WIDTH, "original_height": HEIGHT}  # fmt: skip


class TestLabelStudio:
    def packed(self, values):
        """Run lengths as Label Studio's editor packs them (thi.ng/rle-pack), mixed blocks."""
        bits = f"{len(values):032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
        starts = np.concatenate([[0], np.flatnonzero(np.diff(values.astype(int))) + 1])
        for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
            for first in range(start, end, 1 << 16):
                length = min(end - first, 1 << 16)
                choice = next(i for i, n in enumerate((3, 4, 8, 16)) if length <= 1 << n)
                width = (3, 4, 8, 16)[choice]
                bits += f"{int(length > 1)}{choice:02b}{length - 1:0{width}b}{values[first]:08b}"
        bits += "0" * (-len(bits) % 8)
        return [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]

    def brush(self, region, label):
        channels = np.repeat(region.astype(np.uint8).ravel() * 255, 4)
        return {"id": f"b{label}", "type": "brushlabels", **CONTROL,
                "value": {"format": "rle", "rle": self.packed(channels),
                          "brushlabels": [label]}}  # fmt: skip

    def polygon(self, points, label):
        percent = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in points]
        return {"id": "p1", "type": "polygonlabels", **CONTROL,
                "value": {"points": percent, "closed": True, "polygonlabels": [label]}}  # fmt: skip

    def tasks(self, folder, results):
        photo(folder / "images/0a1b2c3d-my photo.png")
        photo(folder / "images/b.png", seed=1)
        old = [self.brush(np.ones((HEIGHT, WIDTH), bool), "old")]
        return [
            {"id": 3, "data": {"image": "/data/upload/9/0a1b2c3d-my%20photo.png"}, "annotations": [
                {"id": 1, "result": old, "was_cancelled": False},
                {"id": 2, "result": results, "was_cancelled": False},
                {"id": 4, "result": old, "was_cancelled": True},
            ]},
            {"id": 4, "data": {"image": "/data/local-files/?d=set/b.png"}, "annotations": []},
        ]  # fmt: skip

    def test_brush_over_polygon(self, folder, imported):
        region = blob(3)
        tasks = self.tasks(folder, [self.polygon(STAR, "Road"), self.brush(region, "Car")])
        write(folder / "project-1.json", tasks)
        masks, printed, names = imported()
        assert names == ["background", "Car", "Road"] and "Found Label Studio" in printed
        mask = masks["0a1b2c3d-my photo"]
        np.testing.assert_array_equal(mask == 1, region)
        assert_polygon(np.where(region, inside(STAR), mask == 2), STAR)
        assert not masks["b"].any()

    def test_json_min(self, folder, imported):
        region = blob(4)
        tasks = self.tasks(folder, [])
        value = self.brush(region, "Car")["value"]
        write(folder / "project-1.json", [
            {"id": 3, "image": tasks[0]["data"]["image"],
             "tag": [{**value, "original_width": WIDTH, "original_height": HEIGHT}]},
            {"id": 4, "image": tasks[1]["data"]["image"]},
        ])  # fmt: skip
        masks, *_ = imported()
        np.testing.assert_array_equal(masks["0a1b2c3d-my photo"], region)

    def test_brush_pngs_beside_the_json(self, folder, imported):
        region = blob(5)
        write(folder / "result.json", self.tasks(folder, []))
        path = folder / "task-3-annotation-2-by-1-tag-Big Car-0.png"
        Image.fromarray(region.astype(np.uint8) * 255).save(path)
        second = folder / "task-4-annotation-5-by-1-tag-Road-0.png"
        Image.fromarray(region.T[:HEIGHT, :WIDTH].astype(np.uint8) * 0).save(second)
        Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(second)
        masks, printed, names = imported()
        assert names == ["background", "Big Car", "Road"] and "brush PNGs" in printed
        np.testing.assert_array_equal(masks["0a1b2c3d-my photo"], region)

    def test_bitmask(self, folder, imported):
        buffer = io.BytesIO()
        Image.fromarray(blob().astype(np.uint8) * 255).save(buffer, "PNG")
        url = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        result = {"id": "m", "type": "bitmasklabels", **CONTROL,
                  "value": {"imageDataURL": url, "bitmasklabels": ["Car"]}}  # fmt: skip
        write(folder / "project-1.json", self.tasks(folder, [result]))
        np.testing.assert_array_equal(imported()[0]["0a1b2c3d-my photo"], blob())

    def test_colours_in_the_brush(self, folder, imported):
        """The editor packs red, green, blue and alpha; alpha alone counts."""
        pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
        pixels[..., 3] = blob() * 255
        result = self.brush(blob(), "Car")
        bits = f"{pixels.size:032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
        bits += f"011{pixels.size - 1:016b}" + "".join(f"{value:08b}" for value in pixels.ravel())
        bits += "0" * (-len(bits) % 8)
        result["value"]["rle"] = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
        write(folder / "project-1.json", self.tasks(folder, [result]))
        np.testing.assert_array_equal(imported()[0]["0a1b2c3d-my photo"], blob())

    def test_rectangle_turned_about_its_corner(self, folder, imported):
        value = {"x": 50, "y": 25, "width": 20, "height": 50, "rotation": 90,
                 "rectanglelabels": ["Car"]}  # fmt: skip
        result = {"id": "r", "type": "rectanglelabels", **CONTROL, "value": value}
        write(folder / "project-1.json", self.tasks(folder, [result]))
        mask = imported()[0]["0a1b2c3d-my photo"]
        # Corner (30, 11), 12 wide, 22 high; a quarter turn clockwise puts it to the left and below.
        assert_polygon(mask == 1, [[30.0, 11.0], [30.0, 23.0], [8.0, 23.0], [8.0, 11.0]])

    def test_rle_that_ends_early(self, folder, tmp_path, capsys):
        result = self.brush(blob(), "Car")
        result["value"]["rle"] = result["value"]["rle"][:40]
        write(folder / "project-1.json", self.tasks(folder, [result]))
        assert main(["prepare-data", "import", str(folder), "--output", str(tmp_path / "o")]) == 2
        assert "[0].brush bCar.rle: expected all values" in capsys.readouterr().err


class TestDarwin:
    def file(self, name, annotations):
        return {
            "version": "2.0", "schema_ref": "https://darwin-public.s3.eu-west-1.amazonaws.com/x",
            "item": {"name": name, "path": "/", "source_info": {}, "slots": [
                {"type": "image", "slot_name": "0", "width": WIDTH, "height": HEIGHT,
                 "thumbnail_url": "", "source_files": [{"file_name": name, "url": ""}]}]},
            "annotations": annotations,
        }  # fmt: skip

    def test_raster_layer(self, folder, imported):
        values = np.where(blob(6), 1, np.where(blob(7), 2, 0))
        flat = values.ravel()
        starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])
        dense = [int(n) for a, b in itertools.pairwise(starts) for n in (flat[a], b - a)]
        photo(folder / "images/a.png")
        photo(folder / "images/b.png", seed=1)
        write(folder / "annotations/a.json", self.file("a.png", [
            {"id": "x1", "name": "tree", "slot_names": ["0"], "mask": {}, "properties": []},
            {"id": "x2", "name": "lake", "slot_names": ["0"], "mask": {}, "properties": []},
            {"id": "x3", "name": "__raster_layer__", "slot_names": ["0"], "raster_layer": {
                "dense_rle": dense, "mask_annotation_ids_mapping": {"x1": 1, "x2": 2},
                "total_pixels": HEIGHT * WIDTH}},
        ]))  # fmt: skip
        write(folder / "annotations/b.json", self.file("b.png", []))
        masks, printed, names = imported()
        assert names == ["background", "lake", "tree"] and "Darwin" in printed
        np.testing.assert_array_equal(masks["a"], np.array([0, 2, 1])[values])

    def test_polygon_with_hole(self, folder, imported):
        paths = [[{"x": x, "y": y} for x, y in ring] for ring in (STAR, HOLE)]
        for name in "ab":
            photo(folder / f"images/{name}.png", seed=ord(name))
            entry = {"id": "1", "name": "tree", "slot_names": ["0"], "polygon": {"paths": paths},
                     "bounding_box": {"x": 8, "y": 4, "w": 46, "h": 36}}  # fmt: skip
            write(folder / f"annotations/{name}.json", self.file(f"{name}.png", [entry]))
        masks, *_ = imported()
        assert_polygon(masks["a"] == 1, STAR, HOLE)

    def test_version_1(self, folder, imported):
        for name in "ab":
            photo(folder / f"images/{name}.png", seed=ord(name))
            write(folder / f"annotations/{name}.json", {
                "dataset": "d", "image": {"width": WIDTH, "height": HEIGHT, "path": "/",
                                          "filename": f"{name}.png", "original_filename": "x.png"},
                "annotations": [{"name": "tree", "polygon": {
                    "path": [{"x": x, "y": y} for x, y in STAR]}}]})  # fmt: skip
        assert_polygon(imported()[0]["b"] == 1, STAR)


class TestHasty:
    def test_masks_and_polygons(self, folder, imported):
        part = blob(8)[:12, :20]
        labels = [
            {"class_name": "car", "bbox": [10, 20, 30, 32], "polygon": None, "z_index": 2,
             "mask": row_runs(part), "attributes": {}},
            {"class_name": "road", "bbox": [8, 4, 54, 40], "mask": None, "z_index": 1,
             "polygon": STAR, "attributes": {}},
        ]  # fmt: skip
        images = []
        for name, some in (("a", labels), ("b", [])):
            photo(folder / "photos" / f"{name}.png", seed=ord(name))
            images.append({
                "image_id": name, "image_name": f"{name}.png", "dataset_name": "photos",
                "width": WIDTH, "height": HEIGHT, "image_status": "DONE", "tags": [],
                "labels": some})  # fmt: skip
        write(folder / "project.json", {
            "project_name": "p", "create_date": "2024-01-01 00:00:00Z",
            "export_format_version": "1.1", "export_date": "2024-01-01 00:00:00Z",
            "label_classes": [
                {"class_name": "road", "class_type": "background", "color": "#ff0000", "norder": 1},
                {"class_name": "car", "class_type": "object", "color": "#00ff00", "norder": 2}],
            "images": images})  # fmt: skip
        masks, _, names = imported()
        assert names == ["background", "road", "car"]
        brush = np.zeros((HEIGHT, WIDTH), bool)
        brush[20:32, 10:30] = part
        np.testing.assert_array_equal(masks["photos__a"] == 2, brush)
        assert_polygon(np.where(brush, inside(STAR), masks["photos__a"] == 1), STAR)


class TestYolo:
    def test_smaller_objects_lie_on_top(self, folder, imported):
        small = [[20.0, 8.0], [45.0, 8.0], [45.0, 15.0], [20.0, 15.0]]
        lines = [
            f"{index} " + " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in points)
            for index, points in ((1, small), (0, STAR))
        ]
        for split, name in (("train", "a"), ("valid", "b"), ("test", "c")):
            photo(folder / split / "images" / f"{name}.png", seed=ord(name))
            write(folder / split / "labels" / f"{name}.txt", "\n".join(lines))
        write(folder / "data.yaml", "train: ../train/images\nval: ../valid/images\n\nnc: 2\n"
              "names: ['road', 'car']\n")  # fmt: skip
        masks, printed, names = imported()
        assert names == ["background", "road", "car"]
        assert "1 in train, 1 in val, 1 in test" in printed and "random" not in printed
        expected = np.zeros((HEIGHT, WIDTH), bool)
        expected[8:16, 20:46] = True
        known = sure(small, margin=2.1)
        np.testing.assert_array_equal((masks["b"] == 2)[known], expected[known])
        # Ultralytics cuts coordinates off to whole pixels.
        road = np.where(masks["a"] == 2, inside(STAR), masks["a"] == 1)
        assert_polygon(road, STAR, margin=2.0)

    def test_lists_of_a_flat_folder(self, folder, imported):
        for name in "abcd":
            photo(folder / f"images/{name}.png", seed=ord(name))
        write(folder / "labels/a.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5\n")
        write(folder / "data.yaml", "train: train.txt\nval: val.txt\nnames:\n  0: road\n")
        write(folder / "train.txt", "./images/a.png\n./images/c.png\n")
        write(folder / "val.txt", "./images/b.png\n")
        masks, printed, _ = imported()
        assert set(masks) == {"a", "b", "c"} and "2 in train, 1 in val" in printed
        assert "1 images are in no list" in printed and "random" not in printed

    def test_a_box_is_no_polygon(self, folder, tmp_path, capsys):
        photo(folder / "images/train/a.png")
        write(folder / "labels/train/a.txt", "0 0.5 0.5 0.1 0.1\n7 0.1 0.1 0.2 0.2 0.3 0.1\n")
        write(folder / "data.yaml", "names: {0: road}\n")
        assert main(["prepare-data", "import", str(folder), "--output", str(tmp_path / "o")]) == 2
        error = capsys.readouterr().err
        assert "a.txt: line 1: expected a class and a polygon" in error and "(a box?)" in error
        assert "line 2: expected a class of 0 ... 0. Found: 7" in error


class TestKaggle:
    def encode(self, region, order):
        """The competitions' own recipe."""
        pixels = np.concatenate([[0], region.flatten(order=order), [0]])
        changes = np.where(pixels[1:] != pixels[:-1])[0] + 1
        changes[1::2] -= changes[::2]
        return " ".join(map(str, changes))

    @pytest.mark.parametrize("order, column", [("F", "EncodedPixels"), ("C", "segmentation")])
    def test_objects_in_rows(self, folder, imported, order, column):
        first, second = blob(9), blob(10) & ~blob(9)
        for name in "abc":
            photo(folder / f"train_images/{name}.png", seed=ord(name))
        with (folder / "train.csv").open("w", newline="") as file:
            csv.writer(file).writerows([
                ["ImageId", column, "ClassId"],
                ["a.png", self.encode(first, order), 1],
                ["a.png", self.encode(second, order), 3],
                ["b.png", "", 1],
            ])  # fmt: skip
        masks, printed, names = imported()
        assert names == ["background", "class_1", "class_3"] and "Kaggle" in printed
        assert ("along rows" in printed) == (order == "C")
        np.testing.assert_array_equal(masks["a"], np.where(first, 1, np.where(second, 2, 0)))
        assert set(masks) == {"a", "b"} and not masks["b"].any()

    def test_labels_in_the_id(self, folder, imported):
        photo(folder / "a.png")
        photo(folder / "b.png", seed=1)
        write(folder / "train.csv", "Image_Label,EncodedPixels\n"
              f"a.png_Fish,{self.encode(blob(), 'F')}\na.png_Sugar,\nb.png_Fish,\n")  # fmt: skip
        masks, _, names = imported()
        assert names == ["background", "Fish"]
        np.testing.assert_array_equal(masks["a"], blob())


class TestLabelMe:
    def test_json_beside_images(self, folder, imported):
        for split, name in (("train", "a"), ("val", "b")):
            photo(folder / split / f"{name}.png", seed=ord(name))
            write(folder / split / f"{name}.json", {
                "version": "5.5.0", "flags": {}, "imagePath": f"{name}.png", "imageData": None,
                "imageHeight": HEIGHT, "imageWidth": WIDTH, "shapes": [
                    {"label": "road", "points": STAR, "group_id": None, "description": "",
                     "shape_type": "polygon", "flags": {}, "mask": None}]})  # fmt: skip
        masks, printed, names = imported()
        assert names == ["background", "road"] and "1 in train, 1 in val" in printed
        assert_polygon(masks["b"] == 1, STAR)

    def test_web_tool(self, folder, imported):
        points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in STAR)
        for name in "ab":
            photo(folder / f"Images/set/{name}.png", seed=ord(name))
            write(folder / f"Annotations/set/{name}.xml", "<annotation>"
                  f"<filename>{name}.png</filename><folder>set</folder>"
                  "<object><name>old</name><deleted>1</deleted><polygon/></object>"
                  f"<object><name>road</name><deleted>0</deleted><polygon>{points}</polygon></object>"
                  "<object><name>car</name><deleted>0</deleted><segm><mask>m.png</mask></segm></object>"
                  f"<imagesize><nrows>{HEIGHT}</nrows><ncols>{WIDTH}</ncols></imagesize>"
                  "</annotation>")  # fmt: skip
        (folder / "Masks/set").mkdir(parents=True)
        rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        rgba[blob()] = (153, 51, 255, 60)
        Image.fromarray(rgba).save(folder / "Masks/set/m.png")
        masks, _, names = imported()
        assert names == ["background", "car", "road"]
        np.testing.assert_array_equal(masks["set__a"] == 1, blob())
        assert_polygon(np.where(blob(), inside(STAR), masks["set__a"] == 2), STAR)


def uncompressed(packed, region):
    assert packed["size"] == [HEIGHT, WIDTH]
    return row_runs(region.T)


class TestCoco:
    def test_roboflow_folders(self, folder, imported):
        packed = coco_mask.encode(np.asfortranarray(blob().astype(np.uint8)))
        for split, name in (("train", "a"), ("valid", "b")):
            photo(folder / split / f"{name}.png", seed=ord(name))
            write(folder / split / "_annotations.coco.json", {
                "info": {}, "licenses": [], "categories": [
                    {"id": 0, "name": "things", "supercategory": "none"},
                    {"id": 1, "name": "car", "supercategory": "things"}],
                "images": [{"id": 0, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH}],
                "annotations": [
                    {"id": 0, "image_id": 0, "category_id": 1, "iscrowd": 0, "segmentation": {
                        "size": [HEIGHT, WIDTH],
                        "counts": packed["counts"].decode()}}]})  # fmt: skip
        masks, printed, names = imported()
        assert names == ["background", "car"]  # "things" only holds the others
        assert "1 in train, 1 in val" in printed and "random" not in printed
        np.testing.assert_array_equal(masks["b"], blob())

    @pytest.mark.parametrize("more", [{"attributes": {"occluded": False}}, {}])
    def test_masks_of_cvat_are_no_crowds(self, folder, imported, more):
        """Datumaro, which CVAT exports through, sets `iscrowd` on every mask."""
        packed = coco_mask.encode(np.asfortranarray(blob().astype(np.uint8)))
        counts = uncompressed(packed, blob())
        for name in "ab":
            photo(folder / f"images/default/{name}.png", seed=ord(name))
        write(folder / "annotations/instances_default.json", {
            "licenses": [{"name": "", "id": 0, "url": ""}], "info": {"contributor": ""},
            "categories": [{"id": 1, "name": "car", "supercategory": ""},
                           {"id": 2, "name": "road", "supercategory": ""}],
            "images": [{"id": n + 1, "width": WIDTH, "height": HEIGHT, "file_name": f"{name}.png",
                        "license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
                       for n, name in enumerate("ab")],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 1, "area": 9.0,
                             "bbox": [0, 0, 9, 9], **more,
                             "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]}},
                            {"id": 2, "image_id": 2, "category_id": 1, "iscrowd": 0, **more,
                             "segmentation": [[5, 5, 9, 5, 9, 9, 5, 9]]},
                            {"id": 3, "image_id": 2, "category_id": 2, "iscrowd": 0, **more,
                             "segmentation": [[1, 1, 40, 1, 40, 30, 1, 30]]}],
        })  # fmt: skip
        masks, _, names = imported()
        assert names == ["background", "car", "road"]
        np.testing.assert_array_equal(masks["a"], blob())
        assert (masks["b"][1:30, 1:40] == 2).all()  # the order of the file is that of drawing

    def test_a_word_of_the_files_name_is_the_split(self, folder, imported):
        for split, name in (("train", "a"), ("val", "b")):
            photo(folder / f"{name}.png", seed=ord(name))
            write(folder / f"{split}_annotations.json", {
                "images": [{"id": 1, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH}],
                "categories": [{"id": 1, "name": "car"}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1,
                                 "segmentation": [np.ravel(STAR).tolist()]}]})  # fmt: skip
        masks, printed, _ = imported()
        assert "1 in train, 1 in val" in printed and "random" not in printed
        assert_polygon(masks["b"] == 1, STAR)

    def test_large_files_are_recognised_by_their_keys(self, folder, imported, monkeypatch):
        monkeypatch.setattr(import_base, "_LARGE", 100)
        self.test_roboflow_folders(folder, imported)

    def test_panoptic(self, folder, imported):
        segments = np.where(blob(1), 70000, np.where(blob(2), 300, 0))
        rgb = np.stack([segments % 256, segments // 256 % 256, segments // 65536], -1)
        for split, name in (("train2017", "a"), ("val2017", "b")):
            photo(folder / "images" / split / f"{name}.png", seed=ord(name))
            (folder / f"annotations/panoptic_{split}").mkdir(parents=True)
            Image.fromarray(rgb.astype(np.uint8)).save(
                folder / f"annotations/panoptic_{split}/{name}.png"
            )
            write(folder / f"annotations/panoptic_{split}.json", {
                "images": [{"id": 5, "file_name": f"{name}.png", "height": HEIGHT, "width": WIDTH}],
                "categories": [{"id": 9, "name": "sky", "isthing": 0},
                               {"id": 4, "name": "dog", "isthing": 1}],
                "annotations": [{"image_id": 5, "file_name": f"{name}.png", "segments_info": [
                    {"id": 70000, "category_id": 9, "iscrowd": 0},
                    {"id": 300, "category_id": 4, "iscrowd": 0}]}]})  # fmt: skip
        masks, printed, names = imported()
        assert names == ["dog", "sky"] and "Found COCO panoptic" in printed
        expected = np.select([segments == 70000, segments == 300], [1, 0], 255)
        np.testing.assert_array_equal(masks["a"], expected)


class TestGeoJson:
    def write_set(self, folder, crs, corners, member=None):
        rasterio = pytest.importorskip("rasterio")
        pytest.importorskip("rasterio.warp")
        folder.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH), np.uint8)
        for name, left in (("a", 500000), ("b", 500300)):
            with rasterio.open(
                folder / f"{name}.tif", "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=3,
                dtype="uint8", crs="EPSG:32632",
                transform=rasterio.transform.from_origin(left, 5500000, 5, 5),
            ) as file:  # fmt: skip
                file.write(pixels)
        geometry = {"type": "Polygon", "coordinates": [corners]}
        if crs != "EPSG:32632":
            geometry = rasterio.warp.transform_geom("EPSG:32632", crs, geometry)
        write(folder / "fields.geojson", {
            "type": "FeatureCollection", "name": "fields",
            **({"crs": {"type": "name", "properties": {"name": member}}} if member else {}),
            "features": [{"type": "Feature", "properties": {"fid": 1, "class": "field"},
                          "geometry": geometry}]})  # fmt: skip

    @pytest.mark.parametrize(
        "crs, member",
        [("EPSG:32632", "urn:ogc:def:crs:EPSG::32632"), ("EPSG:4326", None)],
    )
    def test_polygons_of_one_file_over_two_images(self, folder, imported, crs, member):
        # Columns 20 to 79 of image a, rows 10 to 30; from column 60 on they are image b's.
        corners = [[500100, 5499950], [500400, 5499950], [500400, 5499850], [500100, 5499850],
                   [500100, 5499950]]  # fmt: skip
        self.write_set(folder, crs, corners, member)
        masks, _, names = imported()
        assert names == ["background", "field"]
        expected = np.zeros((2, HEIGHT, WIDTH), np.uint8)
        expected[0, 10:30, 20:] = 1
        expected[1, 10:30, :20] = 1
        np.testing.assert_array_equal([masks["a"], masks["b"]], expected)

    def write_pixels(self, folder):
        pytest.importorskip("rasterio")
        for name in "ab":
            photo(folder / f"{name}.tif", seed=ord(name))
            write(folder / f"{name}.geojson", {"type": "FeatureCollection", "features": [
                {"type": "Feature", "properties": {"crop": "wheat"}, "geometry": {
                    "type": "Polygon", "coordinates": [
                        [[5, 4], [40, 4], [40, 30], [5, 30], [5, 4]],
                        [[10, 10], [20, 10], [20, 20], [10, 20], [10, 10]]]}},
                {"type": "Feature", "properties": {}, "geometry": None}]})  # fmt: skip

    def test_pixel_coordinates_and_a_property_of_ones_own(self, folder, imported):
        self.write_pixels(folder)
        masks, _, names = imported("--label", "crop")
        assert names == ["background", "wheat"]
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        expected[4:30, 5:40] = 1
        expected[10:20, 10:20] = 0
        np.testing.assert_array_equal(masks["b"], expected)

    def test_properties_that_may_hold_the_class_are_named(self, folder, imported):
        self.write_pixels(folder)
        _, printed, names = imported()
        assert names == ["background", "object"]
        assert "--label says which of crop has the class" in printed


def test_another_folder(tmp_path, capsys):
    write(tmp_path / "in/notes.txt", "no data")
    assert (
        main(["prepare-data", "import", str(tmp_path / "in"), "--output", str(tmp_path / "o")]) == 2
    )
    assert "expected one of the formats mapillary" in capsys.readouterr().err
