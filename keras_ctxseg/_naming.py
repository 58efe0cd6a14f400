"""Suggestions for misspelt names, so that every error of the package words them alike."""

import difflib
from collections.abc import Iterable


def nearest(name: object, choices: Iterable[str]) -> str:
    """Returns `" Did you mean 'x'?"` for the closest of `choices`, or `""` if none is close."""
    folded = {_folded(choice): choice for choice in choices}
    close = difflib.get_close_matches(_folded(str(name)), list(folded), n=1)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def _folded(name: str) -> str:
    """The name without differences of case and dashes."""
    return name[:200].lower().replace("-", "_")
