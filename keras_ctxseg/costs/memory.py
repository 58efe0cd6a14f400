"""Peak memory of a forward pass, measured in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras


@dataclass(frozen=True)
class PeakMemory:
    """Bytes of resident memory.

    `baseline` is resident after imports, with the model built and traced; `peak` the highest while
    the forward passes ran.
    """

    baseline: int
    peak: int

    @property
    def beyond_baseline(self) -> int:
        """What the forward pass took at its highest, beyond libraries and weights."""
        return self.peak - self.baseline

    def __str__(self) -> str:
        return (
            f"{self.beyond_baseline / 2**20:.0f} MiB beyond the {self.baseline / 2**20:.0f} MiB"
            " that libraries and model take"
        )


def measure_peak_memory(
    model: keras.Model, input_size: tuple[int, int], passes: int = 2
) -> PeakMemory:
    """Loads `model` in a fresh process and measures forward passes there (batch 1, plain graph).

    Args:
        model: a Keras model that `keras.models.load_model` can load once keras_ctxseg is imported.
        input_size: height and width in pixels.
        passes: forward passes; the first allocates, the second shows what stays.

    Raises:
        RuntimeError: the process failed; with the end of what it said.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    with tempfile.TemporaryDirectory(prefix="ctxseg-memory-") as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        # The package as found here, also where it is not installed.
        root = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [root, environment.get("PYTHONPATH")])
        )
        child = subprocess.run(
            [
                *(sys.executable, "-m", "keras_ctxseg.costs.memory_child"),
                *(str(path), *map(str, input_size), str(passes)),
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    if child.returncode != 0:
        raise RuntimeError(f"the measuring process failed: {child.stderr.strip()[-500:]}")
    return PeakMemory(**json.loads(child.stdout.splitlines()[-1]))
