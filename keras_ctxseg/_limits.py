"""Limits on the fields of a dataclass, stated where the field is: `Annotated[int, at_least(1)]`."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from keras_ctxseg._text import is_clean


@dataclasses.dataclass(frozen=True)
class Limit:
    """What a value must fulfil beside its type. `None` fulfils every limit.

    Args:
        expected: In a reader's words, for the error.
        holds: Whether a value fulfils it.
    """

    expected: str
    holds: Callable[[Any], bool]


def at_least(least: float) -> Limit:
    return Limit(f"at least {least}", lambda value: least <= value < math.inf)


def above(bound: float) -> Limit:
    return Limit(f"a number above {bound}", lambda value: bound < value < math.inf)


def between(low: float, high: float, what: str = "") -> Limit:
    """Both ends included; `what` is said in place of the bare numbers."""
    return Limit(what or f"{low} to {high}", lambda value: low <= value <= high)


def sides(least: int) -> Limit:
    """Height and width in pixels."""
    expected = f"height and width of at least {least} pixels"
    return Limit(expected, lambda pair: len(pair) == 2 and min(pair) >= least)


SHARE_BELOW_1 = Limit("0 <= value < 1", lambda value: 0 <= value < 1)
FOLDER_NAME = Limit(
    "a folder name without '/' and control characters, of at most 200 bytes",
    lambda name: (
        name not in ("", ".", "..")
        and "/" not in name
        and is_clean(name)
        and len(name.encode()) <= 200
    ),
)

Count = Annotated[int, at_least(1)]
Positive = Annotated[float, above(0)]
Factor = Annotated[float, at_least(0)]
Probability = Annotated[float, between(0, 1, "a probability in 0 ... 1")]


def check_limits(fields: Any, section: str = "", error: type[ValueError] = ValueError) -> None:
    """Checks every field of a dataclass instance against its limits.

    Args:
        fields: The instance; call this in its `__post_init__`.
        section: What the message puts before the field's name, as in `training.batch_size`.
        error: What to raise.

    Raises:
        ValueError: `error`, naming the key, what was expected and what was received.
    """
    schema: Any = type(fields)
    for name, limits in _limits(schema).items():
        value = getattr(fields, name)
        for limit in limits:
            fits = value is None or _holds(limit, value)
            require(fits, f"{section}.{name}".lstrip("."), limit.expected, value, error)


def require(
    condition: bool, key: str, expected: str, value: Any, error: type[ValueError] = ValueError
) -> None:
    """Raises the error of `check_limits` unless `condition`; for limits on several fields."""
    if not condition:
        raise error(f"`{key}`: expected {expected}. Received: {value!r}")


def _holds(limit: Limit, value: Any) -> bool:
    try:
        return bool(limit.holds(value))
    except (TypeError, ValueError):  # A value of another type, where Python code gave it.
        return False


@functools.cache
def _limits(schema: type) -> dict[str, list[Limit]]:
    hints = get_type_hints(schema, include_extras=True)
    found = {name: _limits_in(kind) for name, kind in hints.items()}
    return {name: limits for name, limits in found.items() if limits}


def _limits_in(kind: Any) -> list[Limit]:
    """The limits of a type, or of the members of a union."""
    if get_origin(kind) is Annotated:
        inner, *metadata = get_args(kind)
        return _limits_in(inner) + [each for each in metadata if isinstance(each, Limit)]
    if get_origin(kind) in (tuple, dict, list):
        return []
    return [limit for argument in get_args(kind) for limit in _limits_in(argument)]
