"""Paths with `{split}` in them."""

from collections.abc import Sequence

_PLACE = "{split}"


def given_splits(splits: Sequence[str], *paths: str) -> dict[str, tuple[str, ...]]:
    """The paths of each split; without splits, one entry for the empty name.

    Args:
        splits: names of splits; with them every path holds `{split}`.
        *paths: files or folders.

    Raises:
        ValueError: `{split}` without splits, or splits without it.
    """
    for path in paths:
        if bool(splits) != (_PLACE in str(path)):
            raise ValueError(
                f"{path}: expected {'a path with' if splits else 'no'} {_PLACE} in it, "
                f"{'as' if splits else 'unless'} splits are given (--splits train,val)"
            )
    if len(set(splits)) != len(splits):
        raise ValueError(f"`splits`: expected different names. Received: {', '.join(splits)}")
    return {
        split: tuple(str(path).replace(_PLACE, split) for path in paths)
        for split in (splits or [""])
    }
