"""Suggestions for misspelt names, so that every error of the package words them alike."""

import difflib
from collections.abc import Iterable


def nearest(name: object, choices: Iterable[str]) -> str:
    """Returns `" Did you mean 'x'?"` for the closest of `choices`, or `""` if none is close."""
    name, choices = str(name)[:200], list(choices)
    close = difflib.get_close_matches(name, choices, n=1)
    if not close:
        folded = {_folded(choice): choice for choice in choices}
        close = [folded[each] for each in difflib.get_close_matches(_folded(name), folded, n=1)]
    return f" Did you mean {close[0]!r}?" if close else ""


def _folded(name: str) -> str:
    """The name without differences of case and dashes."""
    return name.lower().replace("-", "_")
