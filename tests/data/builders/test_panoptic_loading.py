"""Panoptic label maps of COCO, Cityscapes and context_scenes against their files."""

import json
import zipfile

import numpy as np
from PIL import Image

from keras_ctxseg import data
from keras_ctxseg.data.builders import cityscapes, coco_classes
from keras_ctxseg.data.builders.cityscapes import instance_id_table
from keras_ctxseg.data.context_scenes.canvas import CLASS_NAMES
from keras_ctxseg.labels.panoptic import CROWD, class_ids, instance_numbers
from tests.fixtures.dummy_datasets.write import load_dummy, write_dummy


def pixels(source):
    with Image.open(source) as image:
        return np.array(image)


def test_coco(tmp_path):
    """Each segment of a thing has a number of its own; crowds have the crowd's."""
    dataset = load_dummy("coco_panoptic", tmp_path, {"panoptic": True})
    assert dataset.is_panoptic and dataset.thing_classes == tuple(range(80))
    files = tmp_path / "coco_panoptic" / "files" / "annotations"
    kinds = set()
    for split, year in (("train", "train2017"), ("val", "val2017")):
        content = json.loads((files / f"panoptic_{year}.json").read_text())
        annotations = {entry["file_name"]: entry for entry in content["annotations"]}
        archive = zipfile.ZipFile(files / f"panoptic_{year}.zip")
        for example in dataset.examples(split).as_numpy_iterator():
            name, label = f"{example['name'].decode()}.png", example["label"]
            with archive.open(f"panoptic_{year}/{name}") as file:
                red, green, blue = np.moveaxis(pixels(file).astype(int), -1, 0)
            segments = red + 256 * green + 65536 * blue
            assert (label[segments == 0] == 255).all()
            numbers = []
            for segment in annotations[name]["segments_info"]:
                category = coco_classes.PANOPTIC_IDS.index(segment["category_id"])
                here = label[segments == segment["id"]]
                if not here.size:
                    continue
                assert (class_ids(here) == category).all()
                assert len(np.unique(here)) == 1
                number = int(instance_numbers(here[0]))
                if category >= 80:
                    assert number == 0
                    kinds.add("stuff")
                elif segment["iscrowd"]:
                    assert number == CROWD
                    kinds.add("crowd")
                else:
                    numbers.append(number)
                    kinds.add("thing")
            assert len(set(numbers)) == len(numbers) and 0 not in numbers and CROWD not in numbers
    assert {"stuff", "thing"} <= kinds


def test_cityscapes(tmp_path):
    """From the published instance ids; both from the archives and from what they unpack to."""
    files = tmp_path / "files"
    write_dummy("cityscapes", files, count=1)
    archive = zipfile.ZipFile(files / "gtFine_trainvaltest.zip")
    unpacked = tmp_path / "unpacked"
    for name in ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip"):
        zipfile.ZipFile(files / name).extractall(unpacked)
    for source in (files, unpacked):
        dataset = data.load(
            "cityscapes",
            data_dir=tmp_path / f"prepared_{source.name}",
            manual_dir=source,
            panoptic=True,
        )
        assert [dataset.class_names[k] for k in dataset.thing_classes][:3] == [
            "person", "rider", "car",
        ]  # fmt: skip
        assert dict(dataset.splits) == {"train": 1, "val": 1}
        (example,) = dataset.examples("val").as_numpy_iterator()
        city = example["name"].decode().split("_")[0]
        path = f"gtFine/val/{city}/{example['name'].decode()}_gtFine_instanceIds.png"
        with archive.open(path) as file:
            published = pixels(file).astype(int)
        label = example["label"]
        for value in np.unique(published):
            label_id, number = (value // 1000, value % 1000) if value >= 1000 else (value, None)
            train_id = cityscapes.train_ids()[label_id]
            here = np.unique(label[published == value])
            assert len(here) == 1 and class_ids(here[0]) == train_id
            is_thing = 11 <= train_id < 19
            expected = 0 if not is_thing else CROWD if number is None else number + 1
            assert instance_numbers(here[0]) == expected
    assert instance_id_table()[34] == -1


def test_context_scenes():
    """Boats, cars, trams and trains are numbered; classes alone are as without instances."""
    panoptic, semantic = (
        data.load("context_scenes", **options) for options in ({"panoptic": True}, {})
    )
    assert [CLASS_NAMES[k] for k in panoptic.thing_classes] == ["boat", "car", "tram", "train"]
    assert not semantic.is_panoptic
    pairs = zip(panoptic.examples("val").take(10), semantic.examples("val").take(10), strict=True)
    for with_instances, without in pairs:
        label = with_instances["label"].numpy()
        np.testing.assert_array_equal(class_ids(label), without["label"])
        np.testing.assert_array_equal(
            label >= 1024, np.isin(class_ids(label), panoptic.thing_classes)
        )
