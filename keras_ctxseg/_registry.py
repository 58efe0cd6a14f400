"""Objects by name, imported when they are first used, to which other packages add their own."""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from keras_ctxseg._naming import nearest

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TARGET = re.compile(r"[\w.]+:[\w.]+")


def imported(target: str) -> Any:
    """Returns what `"package.module:attribute"` names.

    Raises:
        ValueError: If `target` is malformed, or there is no such module or attribute.
    """
    if not _TARGET.fullmatch(target):
        raise ValueError(f"expected 'package.module:attribute'. Received: {target!r}")
    module, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{target!r} cannot be imported: {error}") from error
    return found


class Registry(Mapping[str, Any]):
    """A mapping from names to objects, whose keys cost no import.

    Args:
        kind: What the objects are, for messages: `"backbone"`.
        entries: `{name: object}`. A string `"package.module:attribute"` is imported on first use.
            A tuple `(string, argument, ...)` also calls the attribute, with these arguments.
    """

    def __init__(self, kind: str, entries: Mapping[str, Any]):
        self.kind = kind
        self._entries = dict(entries)

    def __getitem__(self, name: str) -> Any:
        entry = self._entries[name]
        if isinstance(entry, str):
            entry = self._entries[name] = imported(entry)
        elif isinstance(entry, tuple):
            target, *arguments = entry
            entry = self._entries[name] = imported(target)(*arguments)
        return entry

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def register(self, name: str, value: str | Callable, replace: bool = False) -> None:
        """Adds an object.

        Args:
            name: Lower-case letters, digits and underscores.
            value: The object, or `"package.module:attribute"`, which is imported on first use.
            replace: Whether another object of that name may be replaced. The same one, as when its
                module runs again, always may.

        Raises:
            ValueError: If the name is taken or malformed, or `value` is no callable and no target.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"`name` must be lower-case letters, digits and underscores. Received: {name!r}"
            )
        if name in self._entries and not replace and not _same(self._entries[name], value):
            raise ValueError(
                f"There is a {self.kind} {name!r} already; give another name, or replace=True"
            )
        if not callable(value) and not (isinstance(value, str) and _TARGET.fullmatch(value)):
            raise ValueError(
                f"A {self.kind} must be a callable or 'package.module:attribute'. "
                f"Received: {value!r}"
            )
        self._entries[name] = value

    def find(self, name: str, argument: str = "name") -> Any:
        """Returns an object, or raises a `ValueError` that names the argument and the choices."""
        if name not in self._entries:
            raise ValueError(
                f"`{argument}` must be one of {sorted(self._entries)}. "
                f"Received: {argument}={name!r}.{nearest(name, self._entries)}"
            )
        return self[name]


def _same(known: Any, value: Any) -> bool:
    """Whether two entries are one, perhaps as a module that ran twice made it."""
    places = [
        (getattr(each, "__module__", None), getattr(each, "__qualname__", None))
        for each in (known, value)
    ]
    return known == value or (None not in places[0] and places[0] == places[1])
