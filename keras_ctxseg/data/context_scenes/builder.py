"""The TensorFlow Datasets builder. Importing this module imports `tensorflow_datasets`."""

from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from keras_ctxseg.data.context_scenes.canvas import CLASS_NAMES
from keras_ctxseg.data.context_scenes.scene import HEIGHT, WIDTH, draw_facts, draw_scene

SEED = 20240607
SPLITS = {"train": 600, "val": 100}


class ContextScenes(tfds.core.GeneratorBasedBuilder):
    """Drawn landscapes of 96x128 pixels in which the context decides most classes.

    From top to bottom: sky with landmarks, a hill with a vehicle, a surface with vehicles, a bank
    with a railway track. Each of the following is decided by a fair coin, and what looks alike is
    drawn by the same code from the same distribution:

    - `water` or `road` (scene context): the surface looks the same. Lighthouses on the horizon say
      water, office blocks say road; at least 22 pixels of hill lie between.
    - `boat` or `car` (scene context for things): the same hulls, on water or on a road.
    - `tram` or `train` (size): one livery, 34 to 38 or 64 to 74 pixels long, equal windows.
    - `open_track` or `closed_track` (far-apart evidence): a signal stands at either end, 100 pixels
      apart; the track is closed, along all its length, if either of them is red. One green signal
      decides nothing.
    - `pole` (spatial detail): posts and crossbars 2 pixels wide; the signals count with them.
    - `sky`, `land`, `landmark`: decided locally; everyone should get these right.

    A network whose receptive field is at most 33 pixels a side can only guess within the first
    four pairs, next to their evidence excepted. Pixels around boats and cars carry the ignore
    label, 255.

    `instances` numbers boats, cars, trams and trains from 1 within an image; 0 is everything else.
    Scene `index` of a split depends on the seed and the index only.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.1.0": "Signals that stand out."}

    def _info(self) -> tfds.core.DatasetInfo:
        size = (HEIGHT, WIDTH)
        return tfds.core.DatasetInfo(
            builder=self,
            description="Drawn landscapes in which context decides most classes.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(*size, 3), encoding_format="png"),
                    "label": tfds.features.LabeledImage(
                        labels=256, shape=(*size, 1), encoding_format="png"
                    ),
                    "instances": tfds.features.Image(shape=(*size, 1), encoding_format="png"),
                    "name": tfds.features.Text(),
                }
            ),
            disable_shuffling=True,  # examples stay in the order of their numbers
            metadata=tfds.core.MetadataDict(class_names=list(CLASS_NAMES)),
        )

    def _split_generators(self, dl_manager):
        starts = np.cumsum([0, *SPLITS.values()])
        return {
            split: self._generate_examples(split, int(start), count)
            for (split, count), start in zip(SPLITS.items(), starts, strict=False)
        }

    def _generate_examples(self, split: str, start: int, count: int):
        for index in range(start, start + count):
            canvas = draw_scene(draw_facts(SEED, index), SEED, index)
            name = f"{split}_{index - start:04d}"
            yield (
                name,
                {
                    "image": canvas.image,
                    "label": canvas.label[..., None],
                    "instances": canvas.instances[..., None],
                    "name": name,
                },
            )
