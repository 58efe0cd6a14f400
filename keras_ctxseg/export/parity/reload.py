"""Runs an exported SavedModel in a process of its own, as a server would find it."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ctxseg.export.errors import ExportError

_CHILD = Path(__file__).with_name("reload_child.py")


@dataclass(frozen=True)
class SavedModelAnswer:
    """The outputs of both signatures, one array an image, cut to the image's own size."""

    logits: list[np.ndarray]
    labels: list[np.ndarray]
    scores: list[np.ndarray]


def run_saved_model(
    version_directory: Path, images: list[np.ndarray], files: Sequence[bytes] = ()
) -> SavedModelAnswer:
    """Loads the SavedModel in a fresh process without this package and runs both signatures.

    Args:
        version_directory: the SavedModel.
        images: as `check_parity` takes them.
        files: their encoded files, where these are not simply PNGs of the images.

    Raises:
        ExportError: it does not load or run there, or its outputs have another form.
    """
    with tempfile.TemporaryDirectory(prefix="ctxseg-reload-") as exchange:
        try:
            for index, image in enumerate(images):
                np.save(Path(exchange, f"image_{index}.npy"), image)
            for index, content in enumerate(files):
                Path(exchange, f"file_{index}.png").write_bytes(content)
        except OSError as error:
            raise ExportError(f"cannot write to {exchange}: {error}.") from error
        reason = why_child_fails(version_directory, exchange, len(images))
        if reason:
            raise ExportError(f"{version_directory} does not run when loaded afresh: {reason}")
        logits = [np.load(Path(exchange, f"logits_{index}.npy")) for index in range(len(images))]
        labels = [np.load(Path(exchange, f"labels_{index}.npy")) for index in range(len(images))]
        scores = [np.load(Path(exchange, f"scores_{index}.npy")) for index in range(len(images))]
    sizes = [image.shape[:2] for image in images]
    found = [one.shape for one in labels]
    if found != sizes:
        raise ExportError(f"{version_directory}: expected sizes {sizes}. Received {found}.")
    return SavedModelAnswer(logits, labels, scores)


def why_child_fails(version_directory: Path, exchange: str, count: int) -> str:
    """Has a fresh process run `count` images of `exchange`; its error, empty if there is none."""
    # The comparison is on the CPU, and the parent may hold all of a GPU's memory.
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    child = subprocess.run(
        [sys.executable, _CHILD, version_directory.absolute(), exchange, str(count)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode == 0:
        return ""
    return (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
