"""Weights from this package's own files."""

import os
from pathlib import Path

import keras

from keras_ctxseg.models.segmentation_model import SegmentationModel


def load_weights(model: SegmentationModel, path: str | os.PathLike) -> None:
    """Loads all weights of a model from a `.weights.h5` or `.keras` file of the same model.

    Raises:
        ValueError: If there is no such file, or if it belongs to another model.
    """
    path = Path(path)
    if not path.name.endswith((".weights.h5", ".keras")):
        raise ValueError(
            "`weights` must be None or the path of a .weights.h5 or .keras file. "
            f"Received: weights={str(path)!r}"
        )
    if not path.is_file():
        raise ValueError(f"`weights` names a file that does not exist: {str(path)!r}")
    if path.suffix == ".keras":
        source = keras.models.load_model(path, compile=False)
        classes = getattr(source, "num_classes", None)
        if classes is not None and classes != model.num_classes:
            raise ValueError(
                f"`num_classes` disagrees with the checkpoint {str(path)!r}: the model has "
                f"{model.num_classes} classes, the checkpoint {classes}."
            )
        ours = [weight.shape for weight in model.weights]
        theirs = [weight.shape for weight in source.weights]
        if ours != theirs:
            raise ValueError(
                f"The checkpoint {str(path)!r} holds {source.name!r} with {len(theirs)} weights, "
                f"which do not fit {model.name!r} with {len(ours)}; model name and options must be "
                "the same."
            )
        model.set_weights(source.get_weights())
        return
    try:
        model.load_weights(path)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"The weights in {str(path)!r} do not fit {model.name!r} with {model.num_classes} "
            f"classes; model name, options and `num_classes` must be the same. {error}"
        ) from error
