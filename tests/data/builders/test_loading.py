"""What `data.load` gives, pixel by pixel, against the files read with Pillow and SciPy."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from PIL import Image
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from keras_ctxseg import data
from keras_ctxseg.data import registry
from keras_ctxseg.data.builders import (
    camvid,
    cityscapes,
    coco_classes,
    pascal_context,
)
from keras_ctxseg.data.builders.builder import check_first_downloads
from tests.fixtures.dummy_datasets.write import DUMMY_DATASETS, load_dummy, write_dummy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stand-ins that were prepared once, for all tests here."""
    return tmp_path_factory.mktemp("stand_ins")


def load(name, folder, **options):
    dataset = load_dummy(name, folder, options)
    examples = {
        split: {
            example["name"].decode(): example
            for example in dataset.examples(split).as_numpy_iterator()
        }
        for split in dataset.splits
    }
    return dataset, examples, folder / name / "files"


def pixels(source):
    with Image.open(source) as image:
        return np.array(image)


def check(examples, images, labels):
    """`images` and `labels`: from an example's name to the truth."""
    assert examples
    for name, example in examples.items():
        np.testing.assert_array_equal(example["image"], images(name))
        np.testing.assert_array_equal(example["label"], labels(name))
        assert example["image"].dtype == np.uint8 and example["label"].dtype == np.int32


@pytest.mark.parametrize("name", DUMMY_DATASETS)
def test_the_interface(name, folder):
    options = {"augmented": True} if name == "pascal_voc_2012" else {}
    dataset, examples, _ = load(name, folder, **options)
    facts = registry.published(name)
    assert dataset.class_names == facts.class_names
    assert set(dataset.splits) == set(facts.splits)
    np.testing.assert_array_equal(dataset.palette, facts.palette)
    for split, count in dataset.splits.items():
        reader = dataset.reader(split)
        assert len(examples[split]) == len(reader) == count
        sizes = [example["label"].shape for example in examples[split].values()]
        np.testing.assert_array_equal(reader.sizes, sizes)
        for example in examples[split].values():
            known = [*range(dataset.num_classes), dataset.ignore_label]
            assert np.isin(example["label"], known).all()


def test_pascal_voc(folder):
    _, examples, files = load("pascal_voc_2012", folder, augmented=True)
    voc, sbd = files / "VOCdevkit/VOC2012", files / "benchmark_RELEASE/dataset"
    for split in ("train", "val", "trainval"):
        check(
            examples[split],
            lambda name: pixels(voc / "JPEGImages" / f"{name}.jpg"),
            lambda name: pixels(voc / "SegmentationClass" / f"{name}.png"),
        )
    assert {*examples["trainval"]} == {*examples["train"], *examples["val"]}
    # The union of all lists without VOC's val; images that VOC annotated keep its annotation.
    lists = [voc / "ImageSets/Segmentation/train.txt", sbd / "train.txt", sbd / "val.txt"]
    union = {name for file in lists for name in file.read_text().split()}
    assert {*examples["train_aug"]} == union - {*examples["val"]}
    assert union & {*examples["val"]}

    def label(name):
        if name in examples["train"]:
            return pixels(voc / "SegmentationClass" / f"{name}.png")
        mat = scipy.io.loadmat(sbd / "cls" / f"{name}.mat", struct_as_record=False)
        return mat["GTcls"][0, 0].Segmentation

    def image(name):
        own = voc / "JPEGImages" / f"{name}.jpg"
        return pixels(own if own.exists() else sbd / "img" / f"{name}.jpg")

    check(examples["train_aug"], image, label)


def test_voc_without_sbd_has_no_augmented_split(tmp_path):
    write_dummy("pascal_voc_2012", tmp_path / "files")
    dataset = data.load(
        "pascal_voc_2012", data_dir=tmp_path / "prepared", source=tmp_path / "files"
    )
    assert dict(dataset.splits) == {"train": 2, "val": 2, "trainval": 4}


@pytest.mark.parametrize("num_classes", [59, 60])
def test_pascal_context(folder, num_classes):
    dataset, examples, files = load("pascal_context", folder, num_classes=num_classes)
    assert dataset.num_classes == num_classes
    number = {raw: index for index, raw in enumerate(pascal_context.RAW_IDS)}

    def label(name):
        raw = scipy.io.loadmat(files / "trainval" / f"{name}.mat")["LabelMap"]
        if num_classes == 59:
            return np.vectorize(lambda value: number.get(value, 255))(raw)
        return np.vectorize(lambda value: number.get(value, -1) + 1)(raw)

    for split in ("train", "val"):
        check(
            examples[split],
            lambda name: pixels(files / "VOCdevkit/VOC2010/JPEGImages" / f"{name}.jpg"),
            label,
        )


def test_ade20k(folder):
    _, examples, files = load("ade20k", folder)
    root = files / "ADEChallengeData2016"
    for split, part in (("train", "training"), ("val", "validation")):
        raw = {
            name: pixels(root / "annotations" / part / f"{name}.png").astype(int)
            for name in examples[split]
        }
        check(
            examples[split],
            lambda name, part=part: pixels(root / "images" / part / f"{name}.jpg"),
            lambda name, raw=raw: np.where(raw[name] == 0, 255, raw[name] - 1),
        )
    assert any((label == 0).any() for label in raw.values())


def test_coco_stuff(folder):
    _, examples, files = load("coco_stuff", folder)
    number = {raw - 1: index for index, raw in enumerate(coco_classes.STUFF_IDS)}
    for split, year in (("train", "train2017"), ("val", "val2017")):
        check(
            examples[split],
            lambda name, year=year: pixels(files / "images" / year / f"{name}.jpg"),
            lambda name, year=year: np.vectorize(lambda value: number.get(value, 255))(
                pixels(files / "annotations" / year / f"{name}.png")
            ),
        )


def test_coco_panoptic(folder):
    _, examples, files = load("coco_panoptic", folder)
    for split, year in (("train", "train2017"), ("val", "val2017")):
        content = json.loads((files / f"annotations/panoptic_{year}.json").read_text())
        annotations = {
            entry["file_name"].removesuffix(".png"): entry for entry in content["annotations"]
        }
        archive = zipfile.ZipFile(files / f"annotations/panoptic_{year}.zip")

        def label(name, archive=archive, annotations=annotations, year=year):
            with archive.open(f"panoptic_{year}/{name}.png") as file:
                red, green, blue = np.moveaxis(pixels(file).astype(int), -1, 0)
            segments = red + 256 * green + 256**2 * blue
            classes = np.full(segments.shape, 255)
            for segment in annotations[name]["segments_info"]:
                category = coco_classes.PANOPTIC_IDS.index(segment["category_id"])
                classes[segments == segment["id"]] = category
            return classes

        check(
            examples[split],
            lambda name, year=year: pixels(files / year / f"{name}.jpg"),
            label,
        )
        assert any((example["label"] == 255).any() for example in examples[split].values())


def test_camvid(folder):
    _, examples, files = load("camvid", folder)
    classes = {
        color: index
        for index, labels in enumerate(camvid.CLASSES.values())
        for color in labels.values()
    }

    def label(name):
        rgb = pixels(files / f"{name}_L.png")
        return np.apply_along_axis(lambda color: classes.get(tuple(color.tolist()), 255), -1, rgb)

    for split in ("train", "val", "test"):
        check(
            examples[split],
            lambda name: pixels(files / "701_StillsRaw_full" / f"{name}.png"),
            label,
        )


def test_cityscapes(folder):
    _, examples, files = load("cityscapes", folder)
    images = zipfile.ZipFile(files / "leftImg8bit_trainvaltest.zip")
    labels = zipfile.ZipFile(files / "gtFine_trainvaltest.zip")
    table = np.array([cityscapes.train_ids()[index] for index in range(34)])
    for split in ("train", "val", "test"):

        def image(name, split=split):
            city = name.split("_")[0]
            with images.open(f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png") as file:
                return pixels(file)

        def label(name, split=split):
            city = name.split("_")[0]
            with labels.open(f"gtFine/{split}/{city}/{name}_gtFine_labelIds.png") as file:
                return table[pixels(file)]

        check(examples[split], image, label)


def test_oxford_iiit_pet(folder):
    _, examples, files = load("oxford_iiit_pet", folder)
    for split in ("train", "test"):
        check(
            examples[split],
            lambda name: pixels(files / "images" / f"{name}.jpg"),
            lambda name: pixels(files / "annotations/trimaps" / f"{name}.png").astype(int) - 1,
        )
    bordered = examples["test"]
    dataset, examples, _ = load("oxford_iiit_pet", folder, ignore_border=True)
    assert dataset.class_names == ("pet", "background")
    for name, example in examples["test"].items():
        with_border = bordered[name]["label"]
        np.testing.assert_array_equal(
            example["label"], np.where(with_border == 2, 255, with_border)
        )


def test_cifar10(folder):
    dataset, examples, files = load("cifar10", folder)
    record = np.frombuffer((files / "cifar-10-batches-bin/test_batch.bin").read_bytes(), np.uint8)
    for index, row in enumerate(record.reshape(-1, 3073)):
        example = examples["test"][f"test_{index:05d}"]
        np.testing.assert_array_equal(example["label"], np.full((32, 32), row[0]))
        np.testing.assert_array_equal(
            example["image"], row[1:].reshape(3, 32, 32).transpose(1, 2, 0)
        )
    assert dataset.splits == {"train": 10, "test": 2}


def test_training_batches_come_from_records(folder):
    dataset, _, _ = load("pascal_voc_2012", folder, augmented=True)
    config = data.AugmentationConfig(crop_size=(40, 48))
    batches = {
        cache: next(
            iter(data.TrainPipeline(dataset, "train_aug", config, 4, seed=3, cache=cache).build(5))
        )
        for cache in ("memory", "none")
    }
    for with_memory, without in zip(batches["memory"], batches["none"], strict=True):
        np.testing.assert_array_equal(with_memory, without)
    assert np.isin(batches["none"][1], [*range(21), 255]).all()
    assert len(tf.unique(tf.reshape(batches["none"][1], [-1]))[0]) > 4


def test_missing_archives_are_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"leftImg8bit_trainvaltest.zip, .*Register at https://www"
    ):
        data.load("cityscapes", data_dir=tmp_path / "prepared", manual_dir=tmp_path)
    with pytest.raises(ValueError, match=r"ADE20K.* could not be prepared: .*give the folder"):
        data.load("ade20k", data_dir=tmp_path / "prepared", source=tmp_path / "nothing")


def test_another_archive_than_the_first_is_refused(tmp_path):
    def manager(**checksums):
        infos = {url: SimpleNamespace(checksum=digest) for url, digest in checksums.items()}
        return SimpleNamespace(download_dir=tmp_path, _recorded_url_infos=infos)

    check_first_downloads(manager(a="11"))
    check_first_downloads(manager(a="11", b="22"))
    with pytest.raises(NonMatchingChecksumError, match=r"b is another file.*sha256 22, found 33"):
        check_first_downloads(manager(a="11", b="33"))
    record = tmp_path / "first_downloads.tsv"
    assert record.read_text() == "a\t11\nb\t22\n"
    record.write_text("a\t11\n")
    check_first_downloads(manager(b="33"))
    assert record.read_text() == "a\t11\nb\t33\n"


def test_options_are_checked(folder, tmp_path):
    with pytest.raises(ValueError, match="`num_classes`: expected 59 or 60. Received: 61"):
        data.load("pascal_context", num_classes=61)
    with pytest.raises(ValueError, match="has no option 'sorce'.*Did you mean 'source'"):
        data.load("ade20k", sorce=tmp_path)
    with pytest.raises(ValueError, match="Did you mean 'ade20k'"):
        write_dummy("ade20", tmp_path)
