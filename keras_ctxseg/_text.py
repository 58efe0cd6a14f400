"""Text from files and names, for messages and terminals."""

import re
from typing import Any

# ASCII's and Latin-1's control characters, half surrogate pairs, and what turns the direction of
# writing or breaks lines.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def is_clean(text: str, allowed: str = "") -> bool:
    """Whether there are no control characters but those of `allowed`."""
    return all(found[0] in allowed for found in _CONTROL.finditer(text))


def escaped(text: str, allowed: str = "\n") -> str:
    r"""The text with control characters written out: a terminal shows `\x1b` and does not obey it.

    Args:
        text: Any text.
        allowed: Control characters that stay.
    """
    return _CONTROL.sub(
        lambda found: found[0] if found[0] in allowed else ascii(found[0])[1:-1], text
    )


def shown(value: Any) -> str:
    """A value for a message, cut to a line."""
    text = escaped(repr(value), "")
    return text if len(text) <= 200 else f"{text[:190]}... ({len(text)} characters)"
