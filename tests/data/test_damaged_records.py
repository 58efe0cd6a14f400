"""Random damage to TFRecord files: a named error when they are loaded, or every example is read.

40 damages by default; `CTXSEG_DAMAGES=2000` tries that many.
"""

import os

import numpy as np
import tensorflow as tf

from keras_ctxseg import data
from keras_ctxseg.data.tfrecord import write_tfrecords

DAMAGES = int(os.environ.get("CTXSEG_DAMAGES", "40"))


def damaged(content, rng):
    content = bytearray(content)
    kind = rng.integers(5)
    place = int(rng.integers(len(content)))
    if kind == 0:
        return bytes(content[:place])
    if kind == 1:
        content[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        content[place : place + 40] = rng.bytes(40)
    elif kind == 3:
        del content[place : place + int(rng.integers(1, 30))]
    else:
        content[place:place] = rng.bytes(int(rng.integers(1, 30)))
    return bytes(content)


def rewritten(file, rng, path):
    """A file with right checksums around a damaged label, image or message."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            example = tf.train.Example.FromString(record)
            keys = [key for key in example.features.feature if key.endswith("encoded")]
            feature = example.features.feature[keys[rng.integers(len(keys))]]
            feature.bytes_list.value[0] = damaged(feature.bytes_list.value[0], rng)
            record = example.SerializeToString()
            writer.write(damaged(record, rng) if rng.integers(4) == 0 else record)


def test_records(write_folder, tmp_path):
    dataset = data.load("folder", path=write_folder())
    (right,) = write_tfrecords(dataset, "val", tmp_path)
    content = right.read_bytes()
    rng = np.random.default_rng(26)
    outcomes = set()
    for number in range(DAMAGES):
        path = tmp_path / f"damaged-{number}"
        if number == 0:
            path.write_bytes(content)  # not damaged: read
        elif number % 2:
            rewritten(right, rng, path)
        else:
            path.write_bytes(damaged(content, rng))
        try:
            loaded = data.load("tfrecord", pattern={"val": str(path)}, num_classes=4)
        except ValueError as error:
            assert str(path) in str(error)
            outcomes.add("error")
            continue
        for example in loaded.examples("val").as_numpy_iterator():
            assert example["image"].shape[:2] == example["label"].shape
            assert set(np.unique(example["label"])) <= {0, 1, 2, 3, 255}
        outcomes.add("read")
        path.unlink()
    assert outcomes == {"error", "read"}
