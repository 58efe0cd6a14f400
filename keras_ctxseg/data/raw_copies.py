"""Raw copies of images that TensorFlow cannot decode, or not in the way that is asked for.

Such files are decoded once, before training, and their pixels kept in the user's cache folder, so
that the pipeline reads bytes and never waits for Python (see `decoding`). Copies that have not been
used for a month are deleted.
"""

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from keras_ctxseg.data.check_cache import cache_folder, stamp

_FORMAT = 1  # raised when pixels may change
_UNUSED_SECONDS = 30 * 24 * 3600


def raw_copies(
    paths: Sequence[Path], read: Callable[[Path], np.ndarray], rules: str, title: str
) -> list[Path]:
    """The files of raw bytes for image files, written where they are missing.

    Args:
        paths: the image files.
        read: from a file to uint8 pixels.
        rules: a text that differs where pixels may differ.
        title: of the progress bar.

    Raises:
        FileError: what `read` raises.
    """
    if not paths:
        return []
    folder = _folder()
    targets = [folder / f"{_key(path, rules)}.raw" for path in paths]

    def write(path: Path, target: Path) -> None:
        if target.is_file():
            with contextlib.suppress(OSError):
                os.utime(target)
            return
        content = np.ascontiguousarray(read(path), np.uint8).tobytes()
        with tempfile.NamedTemporaryFile(dir=folder, delete=False, suffix=".partial") as file:
            file.write(content)
        os.replace(file.name, target)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(write, paths, targets)
        list(tqdm(results, f"Decoding {title}", len(paths), delay=1.0, leave=False))
    return targets


def _key(path: Path, rules: str) -> str:
    text = json.dumps([_FORMAT, os.path.abspath(path), *stamp(path), rules])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _folder() -> Path:
    folder = cache_folder() / "decoded"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        _delete_unused(folder)
    except OSError:  # A home that cannot be written to; the copies live as long as this process.
        folder = Path(tempfile.mkdtemp(prefix="keras_ctxseg-decoded-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _delete_unused(folder: Path) -> None:
    oldest = time.time() - _UNUSED_SECONDS
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()
