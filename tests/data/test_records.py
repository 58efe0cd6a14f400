"""Random access to TFRecord files against TensorFlow's own sequential reader."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ctxseg.data.builders.published import class_id_table, contiguous_ids
from keras_ctxseg.data.check_cache import cache_folder
from keras_ctxseg.data.readers import RecordExamples

FEATURES = {key: tf.io.FixedLenFeature((), tf.string) for key in ("image", "label", "name")}


def parse(record):
    return tf.io.parse_single_example(record, FEATURES)


def encode(pixels, kind):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def record(image, label, name):
    feature = {
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for key, value in (("image", image), ("label", label), ("name", name.encode()))
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(path, sizes, rng, kind="PNG", options=None):
    """Writes random examples; returns `(image, label)` of each."""
    written = []
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for number, size in enumerate(sizes):
            image = rng.integers(0, 256, (*size, 3), np.uint8)
            label = rng.choice(np.array([0, 1, 2, 255], np.uint8), size)
            name = f"{path.stem}-{number}"
            writer.write(record(encode(image, kind), encode(label, "PNG"), name))
            written.append((image, label))
    return written


def open_files(*files):
    return RecordExamples(files, parse, class_id_table(contiguous_ids(3)))


def test_reads_at_any_place_of_several_files(tmp_path, rng):
    sizes = [(33, 40), (50, 35), (41, 41)], [(64, 48), (37, 90)]
    written = [
        *write(tmp_path / "a.tfrecord", sizes[0], rng),
        *write(tmp_path / "b.tfrecord", sizes[1], rng),
    ]
    reader = open_files(tmp_path / "a.tfrecord", tmp_path / "b.tfrecord")
    np.testing.assert_array_equal(reader.sizes, [*sizes[0], *sizes[1]])
    order = [4, 0, 2, 3, 1, 0]
    examples = tf.data.Dataset.from_tensor_slices(order).map(reader.read, num_parallel_calls=2)
    for index, example in zip(order, examples.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(example["image"], written[index][0])
        np.testing.assert_array_equal(example["label"], written[index][1])
    assert reader.read(tf.constant(3))["name"].numpy() == b"b-0"


def test_sizes_of_jpeg_files(tmp_path, rng):
    write(tmp_path / "a.tfrecord", [(33, 47), (52, 36)], rng, "JPEG")
    np.testing.assert_array_equal(open_files(tmp_path / "a.tfrecord").sizes, [(33, 47), (52, 36)])


def test_an_unknown_id_is_never_taken_for_a_class(tmp_path):
    label = np.array([[0, 3], [2, 255]], np.uint8)
    image = np.zeros((2, 2, 3), np.uint8)
    with tf.io.TFRecordWriter(str(tmp_path / "a.tfrecord")) as writer:
        writer.write(record(encode(image, "PNG"), encode(label, "PNG"), "one"))
    read = open_files(tmp_path / "a.tfrecord").read(tf.constant(0))["label"]
    np.testing.assert_array_equal(read, [[0, -1], [2, 255]])


def test_the_index_is_remembered_until_a_file_changes(tmp_path, rng, monkeypatch):
    file = tmp_path / "a.tfrecord"
    write(file, [(33, 40), (34, 41)], rng)
    first = open_files(file)
    assert len(list((cache_folder() / "records").iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr("keras_ctxseg.data.readers._record_starts", lambda path: pytest.fail())
        np.testing.assert_array_equal(open_files(file).sizes, first.sizes)
    write(file, [(35, 36)], rng)
    np.testing.assert_array_equal(open_files(file).sizes, [(35, 36)])


@pytest.mark.parametrize("keep", [0, 7, 100])
def test_a_damaged_index_is_made_anew(tmp_path, rng, keep):
    write(tmp_path / "a.tfrecord", [(33, 40)], rng)
    open_files(tmp_path / "a.tfrecord")
    (cached,) = (cache_folder() / "records").iterdir()
    cached.write_bytes(cached.read_bytes()[:keep])
    np.testing.assert_array_equal(open_files(tmp_path / "a.tfrecord").sizes, [(33, 40)])


@pytest.mark.parametrize(
    "changes",
    [{"starts": [10**9]}, {"starts": [-1]}, {"numbers": [1]}, {"sizes": [[0, 40]]},
     {"sizes": [33, 40]}, {"starts": [0.5]}, {"numbers": [0, 0]}, {"sizes": [["a", "b"]]}],
)  # fmt: skip
def test_an_impossible_index_is_made_anew(tmp_path, rng, changes):
    write(tmp_path / "a.tfrecord", [(33, 40)], rng)
    open_files(tmp_path / "a.tfrecord")
    (cached,) = (cache_folder() / "records").iterdir()
    with np.load(cached) as content:
        arrays = dict(content)
    np.savez(cached, **{**arrays, **changes})
    np.testing.assert_array_equal(open_files(tmp_path / "a.tfrecord").sizes, [(33, 40)])


def test_files_that_cannot_be_used_are_named(tmp_path, rng):
    with pytest.raises(ValueError, match=r"none\.tfrecord: expected a TFRecord file"):
        open_files(tmp_path / "none.tfrecord")
    with pytest.raises(ValueError, match="no files"):
        open_files()
    write(tmp_path / "a.tfrecord", [(33, 40), (34, 41)], rng)
    content = (tmp_path / "a.tfrecord").read_bytes()
    (tmp_path / "cut.tfrecord").write_bytes(content[:-5])
    with pytest.raises(ValueError, match=r"cut\.tfrecord: .* record 1 reaches beyond"):
        open_files(tmp_path / "cut.tfrecord")
    write(tmp_path / "packed.tfrecord", [(33, 40)], rng, options="GZIP")
    with pytest.raises(ValueError, match=r"packed\.tfrecord: expected an uncompressed"):
        open_files(tmp_path / "packed.tfrecord")


def test_damaged_pixels_fail_by_checksum(tmp_path, rng):
    file = tmp_path / "a.tfrecord"
    write(file, [(33, 40)], rng)
    reader = open_files(file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        reader.read(tf.constant(0))
