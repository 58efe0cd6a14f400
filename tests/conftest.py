"""Settings that every test wants before TensorFlow is imported.

Fixtures import Keras where they use it: xdist's controller reads this file too and runs no test.
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One worker a core: threads of their own would only get in each other's way.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import pytest

from tests.fixtures.reloading import _child_to_reload, reloaded_by_child

__all__ = ["_child_to_reload", "reloaded_by_child"]


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator that is the same in every run."""
    return np.random.default_rng(20240607)


@pytest.fixture
def camvid() -> Path:
    """CamVid's folder, where there is one: its images cannot come with the package."""
    folder = Path(os.environ.get("CTXSEG_CAMVID", "data/camvid"))
    if not folder.is_dir():
        pytest.skip(f"CamVid is not in {folder}; CTXSEG_CAMVID names another place")
    return folder


@pytest.fixture(autouse=True)
def _same_start():
    """Every test draws the same weights, whatever ran before it, and leaves float32 behind."""
    import keras

    keras.utils.set_random_seed(20240607)
    yield
    keras.config.set_dtype_policy("float32")
