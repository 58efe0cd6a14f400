"""Patterns of names with numbers in them: `layer{s-1}.{b-1}.conv{n}`."""

import re
from collections.abc import Mapping

_FIELD = re.compile(r"\{(\w)([+-]\d+)?\}")


def match(pattern: str, name: str) -> dict[str, int] | None:
    """Returns the numbers that make `pattern` into `name`, or `None`.

    Args:
        pattern: Text with fields `{x}`, one letter each, that stand for whole numbers.
        name: Text.

    Examples:
        >>> match("backbone_stage{s}_block{b}_conv{n}", "backbone_stage2_block1_conv3")
        {'s': 2, 'b': 1, 'n': 3}
    """
    found = re.fullmatch(_expression(pattern, r"(?P<{}>\d+)"), name)
    return None if found is None else {key: int(value) for key, value in found.groupdict().items()}


def fill(pattern: str, numbers: Mapping[str, int]) -> str:
    """Returns `pattern` with its fields `{x}`, `{x+1}`, `{x-1}` replaced by numbers.

    Examples:
        >>> fill("layer{s-1}.{b-1}.conv{n}", {"s": 2, "b": 1, "n": 3})
        'layer1.0.conv3'
    """
    return _FIELD.sub(lambda field: str(numbers[field[1]] + int(field[2] or 0)), pattern)


def could_be(pattern: str, name: str) -> bool:
    """Tells whether some numbers make `pattern` into `name`."""
    return re.fullmatch(_expression(pattern, r"\d+"), name) is not None


def _expression(pattern: str, number: str) -> str:
    parts, end = [], 0
    for field in _FIELD.finditer(pattern):
        parts += [re.escape(pattern[end : field.start()]), number.replace("{}", field[1])]
        end = field.end()
    return "".join([*parts, re.escape(pattern[end:])])
