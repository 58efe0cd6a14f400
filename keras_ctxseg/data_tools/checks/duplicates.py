"""Images that occur twice, byte for byte or nearly."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

_LARGEST_DIFFERENCE = 1.5  # grey levels between thumbnails, on average
_RELATIVE_DIFFERENCE = 0.05  # of a thumbnail's standard deviation


def same_content(paths: Iterable[Path], wanted: Collection[Path] | None = None) -> list[list[Path]]:
    """Groups of two files or more with the same bytes, in the order of `paths`.

    Only files of the same size are read.

    Args:
        paths: the files; those that are gone or empty are left out.
        wanted: only groups with one of these; None is all.
    """
    sizes = defaultdict(list)
    for path in paths:
        if path.is_file() and path.stat().st_size:
            sizes[path.stat().st_size].append(path)
    groups = []
    for alike in sizes.values():
        if len(alike) < 2 or (wanted is not None and not any(path in wanted for path in alike)):
            continue
        contents = defaultdict(list)
        for path in alike:
            contents[content_hash(path)].append(path)
        groups += [
            group
            for group in contents.values()
            if len(group) > 1 and (wanted is None or any(path in wanted for path in group))
        ]
    return groups


def content_hash(path: Path) -> bytes:
    """A hash of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha1").digest()


def near_pairs(thumbnails: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs `(earlier, later)` of images that look the same: another coding, another size.

    For each image the first earlier one, if any, whose thumbnail differs by 1.5 grey levels at
    most on average, and by 5 % of the thumbnail's standard deviation at most, so that pale images
    are not all alike.

    Args:
        thumbnails: uint8, all of one shape `(side, side, 3)`, side a multiple of 4.
    """
    if len(thumbnails) < 2:
        return []
    full = np.stack(thumbnails).astype(np.float32)
    count, side = full.shape[:2]
    limits = np.minimum(_LARGEST_DIFFERENCE, _RELATIVE_DIFFERENCE * full.std(axis=(1, 2, 3)))
    # Means never differ by more than the pixels do: sorted by them, few candidates remain.
    coarse = full.reshape(count, 4, side // 4, 4, side // 4, 3).mean(axis=(2, 4))
    means = full.mean(axis=(1, 2, 3))
    order = np.argsort(means, kind="stable")
    ends = np.searchsorted(means[order], means[order] + limits[order], side="right")
    first: dict[int, int] = {}
    for place, end in enumerate(ends):
        one, others = order[place], order[place + 1 : end]
        for arrays in (coarse, full):
            difference = np.abs(arrays[others] - arrays[one]).mean(axis=(1, 2, 3))
            others = others[difference <= np.minimum(limits[one], limits[others])]
        for other in others:
            earlier, later = sorted((int(one), int(other)))
            first[later] = min(earlier, first.get(later, earlier))
    return sorted((earlier, later) for later, earlier in first.items())
