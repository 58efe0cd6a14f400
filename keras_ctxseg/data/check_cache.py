"""Memory of files that were checked, kept outside the data's folder, which may be read-only."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

_FORMAT = 2  # raised when the checks change, so that files are checked anew


def stamp(path: Path) -> tuple[int, int]:
    """What changes when the file does: its size in bytes and its time of change in ns."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/keras_ctxseg`, by default `~/.cache/keras_ctxseg`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    return base / "keras_ctxseg"


class CheckCache:
    """Remembers facts of each image together with the stamps of the files that gave them.

    Nothing here is ever an error: a cache that cannot be read is empty, one that cannot be
    written is not.

    Args:
        root: the data set's folder.
        *rules: texts that decide what is right; another text, another memory.
    """

    def __init__(self, root: Path, *rules: str):
        self._root = root.resolve()
        key = json.dumps([_FORMAT, str(self._root), *rules])
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        self._changed = False
        self._entries = {}
        try:
            self._file = cache_folder() / "checked" / f"{name}.json"
            entries = json.loads(self._file.read_text(encoding="utf-8"))
            self._entries = entries if isinstance(entries, dict) else {}
        except (OSError, ValueError, RuntimeError, MemoryError):
            pass

    def get(self, image: Path, stamps: tuple[int, ...]) -> tuple[int, ...] | None:
        """Facts of an image that was found right and has not changed since."""
        entry = self._entries.get(self._key(image))
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] != list(stamps):
            return None
        facts = entry[1]
        if not isinstance(facts, list) or not all(map(_is_number, facts)):
            return None
        return tuple(facts)

    def put(self, image: Path, stamps: tuple[int, ...], facts: tuple[int, ...]) -> None:
        """Remember an image that was found right."""
        self._entries[self._key(image)] = [list(stamps), list(facts)]
        self._changed = True

    def save(self) -> None:
        """Write what was added, in one step, so that a reader never sees half of it."""
        if not self._changed:
            return
        temporary = None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._file.parent, delete=False, encoding="utf-8"
            ) as file:
                temporary = file.name
                json.dump(self._entries, file)
            os.replace(temporary, self._file)
        except (OSError, AttributeError):
            if temporary and os.path.exists(temporary):
                os.unlink(temporary)

    def _key(self, image: Path) -> str:
        return os.path.relpath(image, self._root)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**31
