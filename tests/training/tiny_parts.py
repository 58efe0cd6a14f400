"""A network of a few hundred weights and a data set in memory, so that whole runs take seconds."""

import json
import zipfile

import keras
import numpy as np

import keras_ctxseg as ctx
from keras_ctxseg.training.config import (
    AugmentationConfig,
    DataConfig,
    ModelConfig,
    RunConfig,
    TrainingConfig,
)


def tiny_model(num_classes=3, auxiliary=False, dropout=0.2):
    """Convolution, batch norm and dropout: every kind of state that a checkpoint must carry."""
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(images)
    x = keras.layers.Conv2D(4, 3, padding="same", name="backbone_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name="backbone_norm")(x)
    x = keras.layers.ReLU(name="backbone_relu")(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    outputs = {"logits": keras.layers.Conv2D(num_classes, 1, dtype="float32", name="classify")(x)}
    if auxiliary:
        outputs["aux_logits"] = keras.layers.Conv2D(num_classes, 1, name="auxiliary")(x)
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(x)
        outputs["presence_logits"] = keras.layers.Dense(num_classes, name="presence")(pooled)
    return ctx.models.SegmentationModel(images, outputs, name="tiny")


def tiny_dataset(num_classes=3, counts=(8, 4), size=40):
    """Stripes of flat colours under noise; `counts` images in train and val."""
    from keras_ctxseg.data.dataset import SegmentationDataset
    from keras_ctxseg.data.packed_examples import PackedExamples

    palette = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200]], np.uint8)[:num_classes]
    rng = np.random.default_rng(0)
    examples = {}
    for split, count in zip(("train", "val"), counts, strict=True):
        examples[split] = []
        for index in range(count):
            columns = rng.integers(0, num_classes, size // 8).repeat(8)
            label = np.broadcast_to(columns, (size, size)).copy()
            label[:2] = 255
            image = palette[np.minimum(label, num_classes - 1)] + rng.normal(0, 20, (size, size, 3))
            image = np.clip(image, 0, 255).astype(np.uint8)
            examples[split].append({"image": image, "label": label, "name": f"{split}{index}"})

    def open_split(split):
        sizes = [example["label"].shape for example in examples[split]]
        return PackedExamples(examples[split], sizes)

    return SegmentationDataset(
        name="stripes",
        class_names=("red", "green", "blue")[:num_classes],
        palette=palette,
        splits=dict(zip(("train", "val"), counts, strict=True)),
        open_split=open_split,
    )


def tiny_config(output_dir, **training):
    settings = {
        "batch_size": 4,
        "epochs": 4,
        "learning_rate": 0.05,
        "overlay_images": 1,
        **training,
    }
    return RunConfig(
        name="run",
        model=ModelConfig("tiny"),
        data=DataConfig("stripes"),
        augmentation=AugmentationConfig(crop_size=(33, 33)),
        training=TrainingConfig(**settings),
        output_dir=str(output_dir),
    )


def everything_in(checkpoint):
    """Weights, optimizer and the counters of dropout in a checkpoint, in a fixed order."""
    model = keras.models.load_model(checkpoint)
    assert model.optimizer.built
    # Keras leaves the counters at their start; the run's own member holds them.
    variables = [*model.weights, *model.optimizer.variables]
    with zipfile.ZipFile(checkpoint) as archive:
        counters = json.loads(archive.read("random_states.json"))
    return [*(variable.numpy() for variable in variables), *map(np.asarray, counters)]
