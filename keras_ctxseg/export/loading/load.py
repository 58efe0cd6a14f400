"""Loads SavedModels, LiteRT and ONNX files alike, as one object that labels images."""

from __future__ import annotations

import os
from pathlib import Path

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.loading.loaded_model import LoadedModel


def load(path: str | os.PathLike, threads: int | None = None) -> LoadedModel:
    """Loads what `export_saved_model`, `export_litert` or `export_onnx` wrote.

    LiteRT and ONNX files of other programs work too, if they take one image and give a map of
    scores or class ids; docs/litert.md says how images are normalised and names are found.

    Args:
        path: a SavedModel's version directory, the directory of its versions (the newest is
            taken), or a LiteRT or ONNX file.
        threads: that a file computes with; by default its runtime's own choice.

    Raises:
        ExportError: there is nothing, or nothing that can be loaded; or it has other inputs
            or outputs, or is another program's SavedModel.

    Examples:
        >>> model = keras_ctxseg.export.load("saved_models/quickstart")
        >>> labels = model.predict(["a.jpg", "b.png"])
    """
    path = Path(path)
    if path.is_dir():
        from keras_ctxseg.export.loading.saved_model import LoadedSavedModel

        return LoadedSavedModel(path)
    if not path.exists():
        raise ExportError(
            f"{path}: expected a SavedModel's directory, or a LiteRT or ONNX file."
            " Nothing is there."
        )
    from keras_ctxseg.export.loading.loaded_file import LoadedFile

    return LoadedFile(path, threads)
