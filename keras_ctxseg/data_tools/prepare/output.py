"""A folder that appears whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def new_folder(output: str | os.PathLike) -> Iterator[Path]:
    """A temporary folder beside `output` that becomes it when the block ends well.

    After an error the temporary folder is removed. A killed process leaves it behind, under the
    name `.<output>.partial`; the next one starts anew and replaces it. Two processes that make
    the same folder at the same time do not: the second is refused.

    Raises:
        ValueError: `output` exists and is not empty, or is being made.
    """
    output = Path(output).expanduser()
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ValueError(
            f"{output}: expected a folder that does not exist yet, so that nothing is overwritten. "
            "Found: " + ("one with files in it" if output.is_dir() else "a file")
        )
    partial = output.absolute().parent / f".{output.absolute().name}.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    with _lock(partial.with_suffix(".lock"), output):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            os.replace(partial, output)  # An empty folder of that name gives way.
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path, output: Path) -> Iterator[None]:
    """Held by one process; the system lets go of it however that process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"{output}: another process is making this folder") from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
