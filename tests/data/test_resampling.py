"""Label maps are resized as TensorFlow does it, and by the definition of the half-pixel grid."""

from fractions import Fraction

import numpy as np
import tensorflow as tf

from keras_ctxseg.data.resampling import resize_label


def test_the_nearest_ids_are_tensorflows(rng):
    sizes = [(1, 1, 1, 1), (33, 1, 7, 90), (360, 480, 360, 480), (720, 960, 360, 480)]
    sizes += [tuple(rng.integers(1, 700, 4)) for _ in range(150)]
    for height, width, new_height, new_width in sizes:
        label = rng.integers(0, 256, (height, width)).astype(np.int32)
        new_size = tf.constant([new_height, new_width], tf.int32)
        expected = tf.image.resize(label[..., None], new_size, "nearest")[..., 0]
        np.testing.assert_array_equal(resize_label(tf.constant(label), new_size), expected)


def test_the_nearest_id_is_that_under_the_pixels_centre(rng):
    for _ in range(20):
        length, new_length = (int(value) for value in rng.integers(1, 400, 2))
        label = tf.range(length)[:, None]
        found = resize_label(label, tf.constant([new_length, 1]))[:, 0].numpy()
        for place in range(new_length):
            center = Fraction(2 * place + 1, 2) * Fraction(length, new_length)
            if center.denominator > 1 or center == 0:  # else two pixels are as near
                assert found[place] == int(center)
