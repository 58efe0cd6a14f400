import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.inference import label_bands
from keras_ctxseg.inference.label_bands import banded_labels

CASES = {
    "stride 4": ((2, 9, 11, 7), [(36, 44)]),
    "odd": ((1, 9, 11, 7), [(33, 41)]),
    "same": ((1, 9, 11, 7), [(9, 11)]),
    "none": ((2, 9, 11, 7), []),
    "smaller": ((1, 40, 31, 3), [(23, 17)]),
    "only one row": ((1, 1, 5, 3), [(33, 35)]),
    "up, then by a scale": ((2, 9, 11, 5), [(35, 44), (70, 87)]),
    "up, then down": ((1, 9, 11, 5), [(36, 44), (29, 31)]),
}


@pytest.mark.parametrize("rows", [1, 5, 1000])
@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_it_equals_resizing_and_argmax_of_the_whole(case, rows, monkeypatch):
    shape, sizes = CASES[case]
    logits = np.random.default_rng(3).normal(0, 5, shape).astype("float32")
    width = sizes[-1][1] if sizes else shape[2]
    monkeypatch.setattr(label_bands, "BAND_BYTES", 4 * shape[0] * shape[3] * width * rows)
    spec = tf.TensorSpec((None, None, None, shape[-1]), tf.float32)
    graph = tf.function(
        lambda x: banded_labels(x, [tf.constant(size) for size in sizes]), [spec], autograph=False
    )
    got = graph(logits)

    whole = tf.constant(logits)
    for size in sizes:
        whole = tf.image.resize(whole, size)
    np.testing.assert_array_equal(got.labels, tf.argmax(whole, axis=-1))
    softmax = tf.nn.softmax(tf.cast(whole, tf.float64)).numpy().max(axis=-1)
    # Places are computed in float32, where the kernel may fuse a product with a sum.
    np.testing.assert_allclose(got.scores, softmax, rtol=1e-4)


def test_a_larger_map_differs_nowhere():
    logits = np.random.default_rng(4).normal(0, 1, (1, 60, 71, 19)).astype("float32")
    got = tf.function(lambda x: banded_labels(x, [tf.constant((239, 283))]))(logits)
    whole = tf.image.resize(logits, (239, 283))
    np.testing.assert_array_equal(got.labels, tf.argmax(whole, axis=-1))
