"""The TensorFlow Datasets builder of `context_scenes`, and its `SegmentationDataset`.

Importing this module imports `tensorflow_datasets`.
"""

import contextlib
import io
import os
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from keras_ctxseg.data.context_scenes.canvas import CLASS_NAMES, PALETTE, THINGS
from keras_ctxseg.data.context_scenes.scene import HEIGHT, WIDTH, draw_facts, draw_scene
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.readers import PackedExamples
from keras_ctxseg.labels.panoptic import panoptic_labels

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


def load_context_scenes(
    *, data_dir: str | os.PathLike | None = None, panoptic: bool = False
) -> SegmentationDataset:
    """The embedded data set, drawn at the first call; see `ContextScenes` for what it shows.

    Args:
        data_dir: where TensorFlow Datasets keeps it; its own default (`$TFDS_DATA_DIR` or
            `~/tensorflow_datasets`) if not given. A run killed while it draws leaves nothing there
            that a later one would take for complete.
        panoptic: labels tell boats, cars, trams and trains apart too.

    Raises:
        ValueError: the data set is not there yet and cannot be written.
    """
    # Only here: the import alone takes longer than everything else of a folder data set.
    import tensorflow_datasets as tfds

    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    builder = ContextScenes(data_dir=data_dir)
    if not builder.data_path.exists():
        _prepare(builder)

    def open_split(split: str) -> PackedExamples:
        examples = [
            {**example, "label": label_map(example)}
            for example in tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))
        ]
        sizes = np.array([example["label"].shape for example in examples])
        return PackedExamples(examples, sizes, np.int32 if panoptic else np.uint8)

    def label_map(example: dict) -> np.ndarray:
        label = example["label"][..., 0]
        if not panoptic:
            return label
        return panoptic_labels(
            label.astype(np.int32), example["instances"][..., 0].astype(np.int32)
        )

    return SegmentationDataset(
        name="context_scenes",
        class_names=CLASS_NAMES,
        palette=PALETTE,
        splits={split: info.num_examples for split, info in builder.info.splits.items()},
        open_split=open_split,
        thing_classes=tuple(map(CLASS_NAMES.index, THINGS)) if panoptic else (),
    )


def _prepare(builder) -> None:
    print(f"Drawing the data set context_scenes into {builder.data_path} ...", flush=True)
    try:
        # TFDS would announce a download; its progress bars stay, they go to stderr.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except OSError as error:
        raise ValueError(
            f"`data_dir`: expected a folder for the data set context_scenes that can be written. "
            f"Found: {builder.data_path}: {error}"
        ) from error
