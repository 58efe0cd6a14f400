"""Publishes exports whole or not at all: version directories, and files with their cards."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.parity.report import ParityReport

_STAGING = ".tmp-export-"


@dataclass(frozen=True)
class ExportResult:
    """A published export; usable wherever a path is."""

    path: Path
    parity: ParityReport

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def published_versions(directory: Path) -> list[int]:
    """The version numbers under `directory`, ascending; none where there is no such directory."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def next_version(directory: Path) -> int:
    """One more than the highest version under `directory`; 1 where there is none."""
    return max(published_versions(directory), default=0) + 1


def check_version_is_free(directory: Path, version: int) -> None:
    """Raises ExportError if `version` is not a version number or is taken."""
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ExportError(f"version: expected a whole number from 1 up. Received {version!r}.")
    if (directory / str(version)).exists():
        raise ExportError(
            f"{directory / str(version)} exists already and is never overwritten."
            f" The next free version is {next_version(directory)}."
        )


@contextlib.contextmanager
def staging_directory(parent: Path) -> Iterator[Path]:
    """A temporary directory `.tmp-export-...` in `parent`, where a rename can publish it.

    TensorFlow Serving passes over it, as its name is not a number. What is still there at the end
    is removed, and so are the directories that were made for it, if nothing was published in them.
    So is what killed exports left: a directory whose lock nobody holds.

    Raises:
        ExportError: `parent` cannot be made or written to.
    """
    parent = parent.absolute()
    made: list[Path] = []
    try:
        made += (path for path in (parent, *parent.parents) if not path.exists())
        parent.mkdir(parents=True, exist_ok=True)
        # The lock of `parent`: no other export may find the new directory before it is locked.
        with contextlib.ExitStack() as held, directory_lock(parent):
            _remove_abandoned(parent)
            staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=parent))
            staging.chmod(0o755)
            held.enter_context(directory_lock(staging))
            locks = held.pop_all()
    except OSError as error:
        _remove_empty(made)
        raise ExportError(f"cannot write to {parent}: {error.strerror}.") from error
    with locks:
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            _remove_empty(made)


@contextlib.contextmanager
def directory_lock(directory: Path, wait: bool = True) -> Iterator[bool]:
    """Holds a directory's lock against other processes and threads, and leaves no file behind.

    Args:
        directory: an existing one.
        wait: until it is free.

    Yields:
        Whether the lock is held: not if another holds it, or the file system has none.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            held = True
        except OSError:
            held = False
        yield held
    finally:
        os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    for left in parent.glob(f"{_STAGING}*"):
        with contextlib.suppress(OSError), directory_lock(left, wait=False) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)


def publish(staging: Path, directory: Path, version: int | None) -> Path:
    """Renames `staging` to `directory/version` (the next free one for None) and returns that."""
    while True:
        number = next_version(directory) if version is None else version
        check_version_is_free(directory, number)
        try:
            os.rename(staging, directory / str(number))
        except OSError as error:
            # Another export may have taken the number in between.
            if version is None and (directory / str(number)).exists():
                continue
            raise ExportError(f"cannot publish {directory / str(number)}: {error}.") from error
        return directory / str(number)


def write_candidate(candidate: Path, content: bytes, path: Path) -> None:
    """Writes a file at a temporary place; an ExportError names `path`, where it is to go."""
    try:
        candidate.write_bytes(content)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}.") from error


def publish_file(candidate: Path, card: str, path: Path, card_name: str) -> None:
    """Moves a file and its card from a temporary place to `path`, replacing what was there."""
    written = candidate.with_name(card_name)
    write_candidate(written, card.encode(), path)
    try:
        os.replace(candidate, path)
        os.replace(written, path.with_name(card_name))
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}.") from error


def _remove_empty(directories: list[Path]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()
