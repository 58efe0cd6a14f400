"""Data sets of mask files, laid out as their sites and tools do, read back by Pillow alone."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.cli import main
from keras_ctxseg.data_tools.prepare.importing import READERS

HEIGHT, WIDTH = 36, 40


def blocks(values, seed=0):
    """A map of the values in squares of four pixels."""
    places = np.random.default_rng(seed).integers(0, len(values), (HEIGHT // 4, WIDTH // 4))
    return np.array(values)[places].repeat(4, 0).repeat(4, 1)


def photo(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(path)


def save(path, values, palette=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette is not None:
        image.putpalette(np.asarray(palette, np.uint8).tobytes())
    image.save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def imported(tmp_path, capsys, labels_of):
    """Runs the command; returns masks by name, what it printed, class names and splits by name."""

    def run(*arguments):
        output = tmp_path / "out"
        code = main(["prepare-data", "import", str(tmp_path / "in"), "--output", str(output),
                     *arguments])  # fmt: skip
        printed = capsys.readouterr()
        assert code == 0, printed.err
        names = json.loads((output / "classes.json").read_text())["classes"]
        splits = {path.stem: path.parts[-3] for path in output.glob("*/labels/*.png")}
        return labels_of(output), printed.out, names, splits

    return run


def voc_colors():
    """The devkit's colour map, bit by bit."""
    colors = np.zeros((256, 3), np.uint8)
    for index in range(256):
        rest = index
        for bit in range(8):
            for channel in range(3):
                colors[index, channel] |= (rest >> channel & 1) << (7 - bit)
            rest >>= 3
    return colors


def test_voc_with_its_lists_and_borders(tmp_path, imported):
    root = tmp_path / "in/VOCdevkit/VOC2012"
    ids = {}
    for seed, name in enumerate(["2007_000001", "2007_000002", "2008_000003", "2009_000004"]):
        ids[name] = blocks([0, 8, 15, 20, 255], seed).astype(np.uint8)
        photo(root / f"JPEGImages/{name}.jpg", seed)
        save(root / f"SegmentationClass/{name}.png", ids[name], voc_colors())
    text(root / "ImageSets/Segmentation/train.txt", "2007_000001\n2007_000002\n")
    text(root / "ImageSets/Segmentation/val.txt", "2008_000003\n2011_000009\n")
    text(root / "ImageSets/Segmentation/trainval.txt", "2007_000001\n2007_000002\n2008_000003\n")
    text(root / "ImageSets/Main/train.txt", "2009_000004\n")
    masks, printed, names, splits = imported()
    assert names[8] == "cat" and len(names) == 21
    assert splits == {"2007_000001": "train", "2007_000002": "train", "2008_000003": "val"}
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, ids[name])
    assert "Found Pascal VOC" in printed and "1 listed names have no mask" in printed
    assert "1 masks are in no list" in printed and "random" not in printed


def test_chosen_classes_and_images_elsewhere(tmp_path, imported, capsys):
    ids = blocks([0, 8, 15, 255]).astype(np.uint8)
    for seed, name in enumerate("ab"):
        photo(tmp_path / f"photos/{name}.jpg", seed)
        save(tmp_path / f"in/SegmentationClass/{name}.png", ids, voc_colors())
    text(tmp_path / "in/ImageSets/Segmentation/default.txt", "a\nb\n")
    output = ["--output", str(tmp_path / "other")]
    assert main(["prepare-data", "import", str(tmp_path / "in"), *output]) == 2
    assert "a.png: expected an image of its name" in capsys.readouterr().err
    photos = ["--images", str(tmp_path / "photos")]
    wrong = ["--classes", "persn", *photos, *output]
    assert main(["prepare-data", "import", str(tmp_path / "in"), *wrong]) == 2
    assert "Received: 'persn'. Did you mean 'person'?" in capsys.readouterr().err
    masks, printed, names, _ = imported("--classes", "person,cat", *photos)
    assert names == ["person", "cat"] and "19 classes that were not chosen are void" in printed
    np.testing.assert_array_equal(masks["a"], np.select([ids == 15, ids == 8], [0, 1], 255))


def test_names_in_lists_with_accents_of_another_system(tmp_path, imported):
    ids = blocks([0, 8]).astype(np.uint8)
    for seed, name in enumerate(("cafe\u0301", "b")):  # as macOS writes it
        photo(tmp_path / f"in/JPEGImages/{name}.jpg", seed)
        save(tmp_path / f"in/SegmentationClass/{name}.png", ids, voc_colors())
    text(tmp_path / "in/ImageSets/Segmentation/train.txt", "caf\u00e9\n")
    text(tmp_path / "in/ImageSets/Segmentation/val.txt", "b\n")
    masks, _, _, splits = imported()
    assert splits == {"caf\u00e9": "train", "b": "val"}
    np.testing.assert_array_equal(masks["caf\u00e9"], ids)


def test_cvat_segmentation_mask(tmp_path, imported):
    root = tmp_path / "in"
    colors = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
    ids = blocks([0, 1, 2]).astype(np.uint8)
    for seed, name in enumerate("ab"):
        photo(root / f"JPEGImages/{name}.png", seed)
        save(root / f"SegmentationClass/{name}.png", colors[ids])
        save(root / f"SegmentationObject/{name}.png", colors[ids])
    text(root / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\n"
         "crack:250,50,83::\nrust stain:51,221,255::\n")  # fmt: skip
    text(root / "ImageSets/Segmentation/default.txt", "a\nb\n")
    masks, printed, names, _ = imported()
    assert names == ["background", "crack", "rust stain"]
    np.testing.assert_array_equal(masks["b"], ids)
    assert "Found CVAT segmentation mask 1.1" in printed and "at random with seed 0" in printed


def test_names_without_colours_have_those_of_voc(tmp_path, imported):
    """Datumaro writes `car:::` where a data set has no colours of its own."""
    ids = blocks([0, 1, 2]).astype(np.uint8)
    for seed, name in enumerate("ab"):
        photo(tmp_path / f"in/JPEGImages/{name}.png", seed)
        save(tmp_path / f"in/SegmentationClass/{name}.png", voc_colors()[ids])
    text(tmp_path / "in/labelmap.txt", "# label:color_rgb:parts:actions\nbackground:::\n"
         "road:::\ncar:::\n")  # fmt: skip
    masks, _, names, _ = imported()
    assert names == ["background", "road", "car"]
    np.testing.assert_array_equal(masks["a"], ids)


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds", "instanceIds"])
def test_cityscapes(tmp_path, imported, kind):
    # Raw ids of road, car (one with an instance), ego vehicle and dynamic.
    label_ids = blocks([7, 26, 1, 5]).astype(np.uint16)
    expected = np.select([label_ids == 7, label_ids == 26], [0, 13], 255)
    values = {
        "labelIds": label_ids.astype(np.uint8),
        "labelTrainIds": expected.astype(np.uint8),
        "instanceIds": np.where(label_ids == 26, 26003, label_ids).astype(np.uint16),
    }[kind]
    for split, city in (("train", "aachen"), ("val", "ulm")):
        stem = f"{split}/{city}/{city}_000001_000019"
        photo(tmp_path / f"in/leftImg8bit/{stem}_leftImg8bit.png", len(city))
        save(tmp_path / f"in/gtFine/{stem}_gtFine_{kind}.png", values)
        text(tmp_path / f"in/gtFine/{stem}_gtFine_polygons.json", '{"objects": []}')
    masks, printed, names, splits = imported()
    assert (names[0], names[13], len(names)) == ("road", "car", 19)
    assert splits == {"aachen_000001_000019": "train", "ulm_000001_000019": "val"}
    np.testing.assert_array_equal(masks["ulm_000001_000019"], expected)
    assert "Found Cityscapes" in printed


def test_idd_lite(tmp_path, imported):
    ids = blocks([0, 3, 6, 255]).astype(np.uint8)
    for split in ("train", "val"):
        photo(tmp_path / f"in/leftImg8bit/{split}/119/903127_image.jpg", len(split))
        save(tmp_path / f"in/gtFine/{split}/119/903127_label.png", ids)
    masks, _, names, splits = imported()
    assert names[0] == "drivable" and len(names) == 7 and splits["119__903127"] in ("train", "val")
    np.testing.assert_array_equal(masks["119__903127"], ids)


def test_ade20k_scene_parsing(tmp_path, imported):
    raw = blocks([0, 1, 3, 150]).astype(np.uint8)
    for folder, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        photo(tmp_path / f"in/images/{folder}/{name}.jpg", len(name))
        save(tmp_path / f"in/annotations/{folder}/{name}.png", raw)
    masks, printed, names, splits = imported()
    assert (names[0], names[2], names[149]) == ("wall", "sky", "flag")
    assert splits == {"ADE_train_00000001": "train", "ADE_val_00000001": "val"}
    np.testing.assert_array_equal(masks["ADE_val_00000001"], np.where(raw == 0, 255, raw - 1))
    assert "0 is void" in printed


def test_ade20k_full(tmp_path, imported):
    numbers = blocks([0, 401, 1831])
    rgb = np.stack([numbers // 256 * 10, numbers % 256, numbers % 7], -1).astype(np.uint8)
    for split in ("training", "validation"):
        root = tmp_path / "in" / split / "street"
        photo(root / f"{split}1.jpg", len(split))
        save(root / f"{split}1_seg.png", rgb)
        objects = [{"name": "car, auto", "name_ndx": 401, "parts": {"part_level": 0}},
                   {"name": "wheel", "name_ndx": 2978, "parts": {"part_level": 1}},
                   {"name": "person, someone", "name_ndx": 1831,
                    "parts": {"part_level": 0}}]  # fmt: skip
        text(root / f"{split}1.json", json.dumps({"annotation": {"object": objects}}))
    masks, _, names, splits = imported()
    assert names == ["car", "person"] and set(splits.values()) == {"train", "val"}
    expected = np.select([numbers == 401, numbers == 1831], [0, 1], 255)
    for mask in masks.values():
        np.testing.assert_array_equal(mask, expected)


def test_mapillary(tmp_path, imported):
    labels = [{"name": "animal--bird", "readable": "Bird", "color": [165, 42, 42],
               "instances": True, "evaluate": True},
              {"name": "void--ego", "readable": "Ego Vehicle", "color": [0, 0, 1],
               "instances": False, "evaluate": False},
              {"name": "nature--sky", "readable": "Sky", "color": [70, 130, 180],
               "instances": False, "evaluate": True}]  # fmt: skip
    text(tmp_path / "in/config_v1.2.json", json.dumps({"labels": labels, "version": "1.1"}))
    raw = blocks([0, 1, 2]).astype(np.uint8)
    palette = np.zeros((256, 3), np.uint8)
    palette[:3] = [label["color"] for label in labels]
    for split in ("training", "validation"):
        photo(tmp_path / f"in/{split}/images/{split}.jpg", len(split))
        save(tmp_path / f"in/{split}/v1.2/labels/{split}.png", raw, palette)
    masks, printed, names, splits = imported()
    assert names == ["Bird", "Sky"] and splits == {"training": "train", "validation": "val"}
    np.testing.assert_array_equal(masks["validation"], np.array([0, 255, 1])[raw])
    assert (
        "Found Mapillary Vistas v1.2" in printed and "1 classes that are not evaluated" in printed
    )


def test_roboflow_masks(tmp_path, imported):
    ids = blocks([0, 1, 2]).astype(np.uint8)
    for split in ("train", "valid", "test"):
        photo(tmp_path / f"in/{split}/{split}_jpg.rf.0a1b.jpg", len(split))
        save(tmp_path / f"in/{split}/{split}_jpg.rf.0a1b_mask.png", ids)
        text(tmp_path / f"in/{split}/_classes.csv",
             "Pixel Value, Class\n0, background\n1, pot hole\n2, sign\n")  # fmt: skip
    text(tmp_path / "in/README.roboflow.txt", "road - v1")
    masks, _, names, splits = imported()
    assert names == ["background", "pot hole", "sign"]
    assert sorted(splits.values()) == ["test", "train", "val"]
    for mask in masks.values():
        np.testing.assert_array_equal(mask, ids)


def test_camvid(tmp_path, imported):
    ids = blocks([0, 3, 8, 11]).astype(np.uint8)
    for split in ("train", "val"):
        photo(tmp_path / f"in/{split}/{split}_1.png", len(split))
        save(tmp_path / f"in/{split}annot/{split}_1.png", ids)
        text(tmp_path / f"in/{split}.txt", f"/SegNet/CamVid/{split}/{split}_1.png "
             f"/SegNet/CamVid/{split}annot/{split}_1.png\n")  # fmt: skip
    masks, printed, names, splits = imported()
    assert (names[0], names[3], len(names)) == ("sky", "road", 11) and "Found CamVid" in printed
    assert splits == {"train_1": "train", "val_1": "val"}
    np.testing.assert_array_equal(masks["val_1"], np.where(ids == 11, 255, ids))


def test_kitti(tmp_path, imported):
    label_ids = blocks([7, 26, 0])
    for name in ("000000_10", "000001_10"):
        photo(tmp_path / f"in/training/image_2/{name}.png", ord(name[5]))
        save(tmp_path / f"in/training/semantic/{name}.png", label_ids.astype(np.uint8))
    masks, *_ = imported()
    expected = np.select([label_ids == 7, label_ids == 26], [0, 13], 255)
    np.testing.assert_array_equal(masks["000001_10"], expected)


class TestFolders:
    COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)

    def pairs(self, root, values, palette=None, names=("a", "b"), ending=""):
        for seed, name in enumerate(names):
            photo(root / f"images/{name}.jpg", seed)
            save(root / f"masks/{name}{ending}.png", values, palette)

    def test_classes_of_darwin(self, tmp_path, imported):
        ids = blocks([0, 1, 2]).astype(np.uint8)
        self.pairs(tmp_path / "in", self.COLORS[ids])
        text(tmp_path / "in/class_mapping.csv",
             "class_name,class_color\n__background__,0 0 0\ntree,255 0 0\n"
             "lake,0 0 255\n")  # fmt: skip
        masks, _, names, _ = imported()
        assert names == ["__background__", "tree", "lake"]
        np.testing.assert_array_equal(masks["a"], ids)

    def test_machine_masks_of_supervisely(self, tmp_path, imported):
        ids = blocks([0, 1, 2]).astype(np.uint8)
        for seed, name in enumerate("ab"):
            photo(tmp_path / f"in/ds/img/{name}.jpg", seed)
            save(tmp_path / f"in/ds/masks_machine/{name}.png", np.stack([ids] * 3, -1))
        text(
            tmp_path / "in/obj_class_to_machine_color.json",
            '{"kiwi": [1, 1, 1], "lemon": [2, 2, 2]}',
        )
        masks, _, names, _ = imported()
        assert names == ["background", "kiwi", "lemon"]
        np.testing.assert_array_equal(masks["a"], ids)

    def test_without_classes(self, tmp_path, imported):
        ids = blocks([0, 4, 255]).astype(np.uint8)
        self.pairs(tmp_path / "in", ids, voc_colors(), ending="_mask")
        masks, printed, names, _ = imported()
        assert names == ["class_0", "class_4"] and "named after their ids" in printed
        np.testing.assert_array_equal(masks["b"], np.where(ids == 4, 1, ids))

    def test_greys_spread_evenly(self, tmp_path, imported):
        values = blocks([0, 127, 255]).astype(np.uint8)
        self.pairs(tmp_path / "in", values)
        masks, printed, names, _ = imported()
        assert names == ["class_0", "class_127", "class_255"] and "spread over 0 ... 255" in printed
        np.testing.assert_array_equal(masks["a"], values // 127)

    def test_a_folder_data_set_keeps_its_class_file(self, tmp_path, imported):
        ids = blocks([3, 7, 9]).astype(np.uint8)
        for seed, split in enumerate(("train", "valid")):
            photo(tmp_path / f"in/{split}/images/{split}.png", seed)
            save(tmp_path / f"in/{split}/labels/{split}.png", ids)
        text(
            tmp_path / "in/classes.json",
            '{"classes": ["sky", "road"], "label_map": {"3": "road", "7": "sky"}, "void": 9}',
        )
        masks, _, names, splits = imported()
        assert names == ["sky", "road"] and splits == {"train": "train", "valid": "val"}
        np.testing.assert_array_equal(masks["valid"], np.select([ids == 3, ids == 7], [1, 0], 255))

    def test_names_that_occur_in_several_folders(self, tmp_path, imported):
        ids = blocks([0, 1]).astype(np.uint8)
        for seed, video in enumerate(("one", "two")):
            photo(tmp_path / f"in/{video}/images/0001.png", seed)
            save(tmp_path / f"in/{video}/masks/0001.png", ids)
        assert set(imported()[0]) == {"one__images__0001", "two__images__0001"}

    def test_binary(self, tmp_path, imported):
        values = blocks([0, 255]).astype(np.uint8)
        self.pairs(tmp_path / "in", values)
        masks, _, names, _ = imported()
        assert names == ["background", "foreground"]
        np.testing.assert_array_equal(masks["a"], values // 255)

    def test_indices_of_a_small_palette(self, tmp_path, imported):
        ids = blocks([0, 1, 3]).astype(np.uint8)
        self.pairs(tmp_path / "in", ids, np.arange(12).reshape(4, 3))
        masks, _, names, _ = imported()
        assert names == ["class_0", "class_1", "class_3"]
        np.testing.assert_array_equal(masks["a"], np.where(ids == 3, 2, ids))


def test_the_guide_lists_every_format():
    page = (Path(__file__).parents[3] / "docs/your_data.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z][a-z0-9-]*)` \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(READERS)
