"""tf-models' format: its own decoder reads what is written, and what its tools write is read."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ctxseg import data
from keras_ctxseg.cli import main
from keras_ctxseg.data.tfrecord import write_tfrecords


@pytest.fixture
def dataset(write_folder):
    """Five training and two validation images with four classes and void."""
    return data.load("folder", path=write_folder())


def arrays(dataset, split):
    return list(dataset.examples(split).as_numpy_iterator())


def same(one, other):
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        for key in ("image", "label", "name"):
            np.testing.assert_array_equal(first[key], second[key])


def test_what_is_written_comes_back(dataset, tmp_path):
    for split, shards in (("train", 3), ("val", 1)):
        files = write_tfrecords(dataset, split, tmp_path / "records", shards)
        assert [file.name for file in files] == [
            f"{split}-{shard:05d}-of-{shards:05d}.tfrecord" for shard in range(shards)
        ]
    again = data.load("tfrecord", pattern=str(tmp_path / "records" / "{split}-*"), num_classes=4)
    assert dict(again.splits) == {"train": 5, "val": 2}
    for split in again.splits:
        same(arrays(again, split), arrays(dataset, split))
    assert not list((tmp_path / "records").glob("*.partial"))


def test_tf_models_decoder_reads_it(dataset, tmp_path):
    from official.vision.dataloaders import segmentation_input

    files = write_tfrecords(dataset, "train", tmp_path)
    decoder = segmentation_input.Decoder()
    parser = segmentation_input.Parser(
        output_size=[40, 52], ignore_label=255, resize_eval_groundtruth=True
    )
    records = tf.data.TFRecordDataset([str(file) for file in files])
    for record, example in zip(records, arrays(dataset, "train"), strict=True):
        decoded = decoder.decode(record)
        assert (decoded["image/height"], decoded["image/width"]) == example["label"].shape
        image = tf.io.decode_image(decoded["image/encoded"])
        np.testing.assert_array_equal(image, example["image"])
        _, labels = parser._parse_eval_data(decoded)
        np.testing.assert_array_equal(labels["masks"][..., 0], example["label"])


def test_what_tf_models_writes_is_read(tmp_path, rng):
    from official.vision.data import tfrecord_lib

    image = rng.integers(0, 256, (37, 45, 3), np.uint8)
    label = rng.choice(np.array([0, 1, 2, 7], np.uint8), (37, 45))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG")
    features = tfrecord_lib.image_info_to_feature_dict(
        37, 45, "one.jpg", 17, buffer.getvalue(), "jpeg"
    )
    features["image/segmentation/class/encoded"] = tfrecord_lib.convert_to_feature(
        tfrecord_lib.encode_mask_as_png(label)
    )
    example = tf.train.Example(features=tf.train.Features(feature=features))
    with tf.io.TFRecordWriter(str(tmp_path / "val-00000-of-00001")) as writer:
        writer.write(example.SerializeToString())
    dataset = data.load(
        "tfrecord", pattern={"val": str(tmp_path / "val-*")}, num_classes=3, ignore_label=7
    )
    (read,) = arrays(dataset, "val")
    assert read["name"] == b"17"
    np.testing.assert_array_equal(read["label"], np.where(label == 7, 255, label))
    np.testing.assert_array_equal(read["image"], np.array(Image.open(buffer)))


def test_records_with_the_four_required_keys_only(dataset, tmp_path):
    (file,) = write_tfrecords(dataset, "val", tmp_path)
    kept = ("image/encoded", "image/height", "image/width", "image/segmentation/class/encoded")
    with tf.io.TFRecordWriter(str(tmp_path / "bare")) as writer:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            features = tf.train.Example.FromString(record).features.feature
            bare = tf.train.Features(feature={key: features[key] for key in kept})
            writer.write(tf.train.Example(features=bare).SerializeToString())
    bare = data.load("tfrecord", pattern={"val": str(tmp_path / "bare")}, num_classes=4)
    assert [example["name"] for example in arrays(bare, "val")] == [b"0", b"1"]


def test_a_class_file_names_and_maps(dataset, tmp_path):
    write_tfrecords(dataset, "val", tmp_path)
    classes = {
        "classes": ["ground", "car"],
        "label_map": {"0": 0, "1": 0, "2": "ground", "3": "car"},
        "void": 255,
    }
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    mapped = data.load(
        "tfrecord", pattern=str(tmp_path / "{split}-*"), classes=tmp_path / "classes.json"
    )
    assert mapped.class_names == ("ground", "car")
    table = np.full(256, 255)
    table[:4] = [0, 0, 0, 1]
    for one, other in zip(arrays(mapped, "val"), arrays(dataset, "val"), strict=True):
        np.testing.assert_array_equal(one["label"], table[other["label"]])


def test_jpeg_is_close(dataset, tmp_path):
    write_tfrecords(dataset, "val", tmp_path, image_format="jpeg")
    again = data.load("tfrecord", pattern=str(tmp_path / "{split}-*"), num_classes=4)
    for one, other in zip(arrays(again, "val"), arrays(dataset, "val"), strict=True):
        np.testing.assert_array_equal(one["label"], other["label"])
        # Noise is the hardest image for JPEG; its chroma is halved.
        difference = one["image"].astype(float).mean(-1) - other["image"].astype(float).mean(-1)
        assert 0 < np.abs(difference).mean() < 20


def test_the_command(write_folder, tmp_path, capsys):
    folder, output = write_folder(), tmp_path / "records"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: trial\nmodel: {name: fcn_resnet18}\n"
        f"data: {{name: folder, options: {{path: {folder}}}}}\n"
    )
    assert main(["convert-data", str(recipe), "--output", str(output), "--shards", "2"]) == 0
    printed = capsys.readouterr().out
    assert "train: 5 examples in 2 files" in printed
    assert str(output / "classes.json") in printed
    again = data.load(
        "tfrecord", pattern=f"{output}/{{split}}-*.tfrecord", classes=output / "classes.json"
    )
    original = data.load("folder", path=folder)
    assert again.class_names == original.class_names
    np.testing.assert_array_equal(again.palette, original.palette)
    same(arrays(again, "train"), arrays(original, "train"))


def test_errors_say_what_would_be_right(dataset, tmp_path):
    with pytest.raises(ValueError, match=r"with \{split\} in it.*Received: 'x-\*'"):
        data.load("tfrecord", pattern="x-*", num_classes=2)
    with pytest.raises(ValueError, match="no file matches .* with any of train, val"):
        data.load("tfrecord", pattern=str(tmp_path / "{split}-*"), num_classes=2)
    with pytest.raises(ValueError, match="no file matches .*, split 'dev'"):
        data.load("tfrecord", pattern={"dev": str(tmp_path / "dev-*")}, num_classes=2)
    with pytest.raises(ValueError, match="expected one of `classes`"):
        data.load("tfrecord", pattern="{split}")
    with pytest.raises(ValueError, match="`shards`: expected 1 or more"):
        write_tfrecords(dataset, "val", tmp_path, shards=0)
    with pytest.raises(ValueError, match="`image_format`: expected one of png, jpeg"):
        write_tfrecords(dataset, "val", tmp_path, image_format="webp")


@pytest.fixture
def altered(dataset, tmp_path):
    """Writes the training records with the second one changed; returns the file and a loader."""

    def write(**changes):
        (file,) = write_tfrecords(dataset, "train", tmp_path / "right")
        path = tmp_path / "train-0"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for number, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator()):
                example = tf.train.Example.FromString(record)
                for key, value in changes.items() if number == 1 else ():
                    feature = example.features.feature[f"image/{key.replace('_', '/')}"]
                    feature.bytes_list.value[:] = [value]
                writer.write(example.SerializeToString())
        return path, lambda: data.load("tfrecord", pattern={"train": str(path)}, num_classes=4)

    return write


def png(array):
    return tf.io.encode_png(np.asarray(array, np.uint8)[..., None]).numpy()


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"segmentation_class_encoded": png(np.zeros((40, 51)))},
         "a label of its image's size (40, 52). Found: (40, 51)"),
        ({"segmentation_class_encoded": png(np.full((40, 52), 7))},
         "ids 0 ... 3, 255. Found: 7"),
        ({"segmentation_class_encoded": b""}, "a label as PNG of one channel. Found: "),
        ({"encoded": b"no image"}, "an image as JPEG or PNG. Found: "),
        ({"encoded": tf.io.encode_png(np.zeros((40, 52, 3), np.uint8)).numpy()[:60]},
         "an image as JPEG or PNG. Found: "),
        ({"encoded": tf.io.encode_png(np.zeros((20, 52, 3), np.uint8)).numpy()},
         "an image of 33 pixels a side or more. Found: (20, 52)"),
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_trained_on_is_named(altered, changes, expected):
    path, load = altered(**changes)
    with pytest.raises(ValueError) as error:
        load()
    assert f"{path}: record 1: expected {expected}" in str(error.value)


def test_damaged_bytes_are_named(altered):
    path, load = altered()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-0: record 2: expected a whole tf.train.Example"):
        load()
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"train-0: expected a TFRecord file. Found: an empty"):
        load()


def test_labels_of_0_and_255_alone_are_refused(write_folder, tmp_path):
    image = tf.io.encode_png(np.zeros((40, 40, 3), np.uint8)).numpy()
    label = np.zeros((40, 40), np.uint8)
    label[:9] = 255
    features = {
        "image/encoded": image,
        "image/segmentation/class/encoded": png(label),
    }
    features = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in features.items()
    }
    with tf.io.TFRecordWriter(str(tmp_path / "train-0")) as writer:
        example = tf.train.Example(features=tf.train.Features(feature=features))
        writer.write(example.SerializeToString())
    pattern = {"train": str(tmp_path / "train-0")}
    with pytest.raises(ValueError, match=r'train-0: expected labels of two classes. .*"255": 1'):
        data.load("tfrecord", pattern=pattern, num_classes=2)
    assert data.load("tfrecord", pattern=pattern, num_classes=3).splits == {"train": 1}


def test_files_of_validation_are_the_split_val(dataset, tmp_path):
    for split, name in (("train", "train"), ("val", "validation")):
        (file,) = write_tfrecords(dataset, split, tmp_path)
        file.rename(tmp_path / f"{name}-0.tfrecord")
    for pattern in ("{split}-*", "{split}*"):
        again = data.load("tfrecord", pattern=str(tmp_path / pattern), num_classes=4)
        assert dict(again.splits) == {"train": 5, "val": 2}
        assert again.splits["validation"] == 2
