"""From the prepared TensorFlow data set to a `SegmentationDataset`."""

import contextlib
import io
import os

import numpy as np

from keras_ctxseg.data.context_scenes.canvas import CLASS_NAMES, PALETTE, THINGS
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.packed_examples import PackedExamples
from keras_ctxseg.labels.panoptic import panoptic_labels


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

    from keras_ctxseg.data.context_scenes.builder import ContextScenes

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
