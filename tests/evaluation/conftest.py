"""A tiny model with the library's contract, and random examples of mixed sizes."""

import numpy as np
import pytest

CLASSES = 4


@pytest.fixture
def model():
    import keras

    keras.utils.set_random_seed(0)
    images = keras.Input((None, None, 3))
    features = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    features = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(features)
    logits = keras.layers.Conv2D(CLASSES, 3, padding="same", name="logits")(features)
    aux = keras.layers.Conv2D(CLASSES, 1, name="aux_logits")(features)
    return keras.Model(images, {"logits": logits, "aux_logits": aux})


def random_example(rng, name, image_size, label_size):
    label = rng.integers(0, CLASSES, label_size).astype("int32")
    label[rng.random(label_size) < 0.2] = 255
    image = rng.uniform(0.0, 255.0, (*image_size, 3)).astype("float32")
    return {"image": image, "label": label, "name": name}


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    sizes = [((12, 16), (12, 16)), ((12, 16), (24, 31)), ((9, 20), (12, 16))]
    return [random_example(rng, f"image_{k}", *sizes[k % 3]) for k in range(8)]
