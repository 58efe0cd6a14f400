"""What holds for every input: a right result or an error that names it, soon, in little memory."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

SECONDS = 10.0
MEBIBYTES = 400


def result_or_error(
    read: Callable[[Path], Any], path: Path, error: type[Exception], also: str = ""
) -> Any:
    """Reads a file; the result, or None where it is refused in the way that it has to be.

    Args:
        read: the reader.
        path: the file; nothing beside it may change.
        error: what the reader raises for a file that cannot be used. Its message has to name the
            file, or begin with `also`.
    """
    before = _content(path.parent)
    memory, began = _peak(), time.process_time()
    try:
        result = read(path)
    except error as refused:
        result, text = None, str(refused)
        assert str(path) in text or (also and text.startswith(also)), f"unnamed: {text!r}"
        assert len(text) < 4000, "a message of pages"
    assert time.process_time() - began < SECONDS
    assert _peak() - memory < MEBIBYTES * 2**20
    assert _content(path.parent) == before, "files were written or lost"
    return result


def _content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


_KINDS = ("flip", "zero", "delete", "insert", "repeat", "truncate", "number")
_NUMBERS = (0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)
Damage = tuple[str, float, int]

damages = st.lists(
    st.tuples(st.sampled_from(_KINDS), st.floats(0, 1, exclude_max=True), st.integers(0, 255)),
    min_size=1, max_size=4,
)  # fmt: skip
"""What happens to a file: kind, place as a share of its length, and a number."""


def damaged(content: bytes, changes: list[Damage]) -> bytes:
    """A file's bytes after some damage."""
    data = bytearray(content)
    for kind, share, number in changes:
        at = int(share * len(data))
        if kind == "flip" and data:
            data[at] ^= number or 1
        elif kind == "zero":
            data[at : at + number] = bytes(len(data[at : at + number]))
        elif kind == "delete":
            del data[at : at + number]
        elif kind == "insert":
            data[at:at] = bytes([number]) * (number % 17)
        elif kind == "repeat":
            data[at:at] = data[at : at + number]
        elif kind == "truncate":
            del data[at:]
        else:
            value = _NUMBERS[number % len(_NUMBERS)]
            width = 8 if number > 127 else 4
            data[at : at + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
