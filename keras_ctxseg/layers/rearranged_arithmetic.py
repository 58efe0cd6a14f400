"""Whether layers compute their formulas as written or rearranged into less arithmetic.

Both give the same values up to rounding. What is rearranged is written down where it is done:
`shared_kernel.py`, `upsampled_conv.py`.
"""

import contextlib
import contextvars
from collections.abc import Iterator

LEVELS = ("none", "slices", "full")

_level = contextvars.ContextVar("keras_ctxseg_rearrangement", default="full")


@contextlib.contextmanager
def rearrangement(level: str) -> Iterator[None]:
    """Sets how far layers rearrange what they compute, for whatever is traced or run inside.

    Args:
        level: `"none"`, every formula as written: to count a network's multiply-adds, or as an
            oracle. `"slices"`, products that several atrous rates have in common are computed once
            and added up by slices: for devices, where matrix products over space neither run well
            nor keep their precision in int8. `"full"`, everything that saves time on a CPU or GPU;
            the default outside.

    Raises:
        ValueError: If it is none of these.
    """
    if level not in LEVELS:
        raise ValueError(f"`level` must be one of {LEVELS}. Received: level={level!r}")
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def current_rearrangement() -> str:
    """The level that holds here."""
    return _level.get()
