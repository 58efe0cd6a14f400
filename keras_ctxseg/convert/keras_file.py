"""Keras' files: `.keras`, `.weights.h5`, and the `.h5` of Keras 1 and 2. No layer is created."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np

from keras_ctxseg.convert.report import ConversionError

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def read_keras(path: Path) -> dict[str, np.ndarray]:
    """Reads `{"<layer>/<weight>": array}`, the weights named as Keras names them.

    A layer without weights is there too, with nothing after its name and an empty array, so that
    whoever knows the architecture can see that it has one.

    Raises:
        ConversionError: If the file is damaged, or too old to tell its layers' names.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read("model.weights.h5"))
            with h5py.File(source) as file:
                return _read(file)
        with h5py.File(path) as file:
            return _read(file)
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from None
    except (OSError, zipfile.BadZipFile, KeyError, RuntimeError) as error:
        raise ConversionError(
            f"{path}: no whole Keras file; it is damaged, truncated or of another kind ({error})"
        ) from error


def _read(file: h5py.File) -> dict[str, np.ndarray]:
    groups = file.get("model_weights", file)
    return _read_legacy(groups) if "layer_names" in groups.attrs else _read_current(file)


def _read_legacy(file) -> dict[str, np.ndarray]:
    """One group a layer, each weight named `layer/weight:0`."""
    weights = {}
    for layer in map(_text, file.attrs["layer_names"]):
        names = [_text(name) for name in file[layer].attrs["weight_names"]]
        for name in names:
            role = name.rsplit("/", 1)[-1].removesuffix(":0").removeprefix("depthwise_")
            weights[f"{layer}/{role}"] = file[layer][name][()]
        if not names:
            weights[f"{layer}/"] = np.zeros(0)
    return weights


def _read_current(file: h5py.File) -> dict[str, np.ndarray]:
    """A group `vars` for each layer; its layer's name is an attribute, its weights are numbered."""
    weights: dict[str, np.ndarray] = {}

    def visit(path: str, group) -> None:
        if not isinstance(group, h5py.Group) or path.rsplit("/", 1)[-1] != "vars":
            return
        values = [group[key][()] for key in sorted(group, key=int)]
        if "name" not in group.attrs:
            if values:
                raise ConversionError(
                    "written by a Keras that did not store the layers' names; load it and save it "
                    "again with Keras 3.8 or newer"
                )
            return
        name = _text(group.attrs["name"])
        if any(key.startswith(f"{name}/") for key in weights):
            raise ConversionError(f"two layers are called {name!r}")
        roles = ("kernel", "bias") if values and values[0].ndim > 1 else _NORM
        if not values:
            weights[f"{name}/"] = np.zeros(0)
        for role, value in zip(roles, values, strict=False):
            weights[f"{name}/{role}"] = value

    file.visititems(visit)
    return weights


def _text(name) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
