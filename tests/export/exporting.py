"""A model and images for the tests of this folder."""

import keras
import numpy as np

CLASS_NAMES = ["sky", "road", "boat", "car", "person"]


def tiny_model(side=None, seed=3, first=None, channels=3):
    """A functional model with the contract's input and outputs, sensitive to every pixel.

    `first` is its first layer, for images of `channels`.
    """
    keras.utils.set_random_seed(seed)
    images = keras.Input((side, side, channels))
    features = (first or keras.layers.Rescaling(1 / 127.5, -1))(images)
    features = keras.layers.Conv2D(8, 3, padding="same", use_bias=False)(features)
    features = keras.layers.BatchNormalization()(features)
    features = keras.layers.ReLU()(features)
    features = keras.layers.Conv2D(8, 3, dilation_rate=3, padding="same")(features)
    features = keras.layers.Dropout(0.5)(features)
    logits = keras.layers.Conv2D(len(CLASS_NAMES), 1, name="classifier")(features)
    aux_logits = keras.layers.Conv2D(len(CLASS_NAMES), 1)(features)
    model = keras.Model(images, {"logits": logits, "aux_logits": aux_logits}, name="tiny")
    random = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(random.normal(0, 0.5, variable.shape))
    return model


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
