"""Stand-ins by data set: writing them, and loading them through the real builders."""

import importlib
from collections.abc import Callable
from pathlib import Path

from keras_ctxseg._naming import nearest
from keras_ctxseg.data import registry
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.dummy.pictures import Pictures

# Where the writer is, and which option of the data set's loader takes the folder.
_WRITERS = {
    "cityscapes": ("cityscapes:write_cityscapes", "manual_dir"),
    "pascal_voc_2012": ("pascal_voc:write_pascal_voc_2012", "source"),
}
DUMMY_DATASETS = tuple(sorted(_WRITERS))


def write_dummy(
    name: str, root: Path, count: int = 2, size: tuple[int, int] = (48, 64), seed: int = 0
) -> None:
    """Write a stand-in for a published data set.

    Args:
        name: one of `DUMMY_DATASETS`.
        root: the folder that plays the part of the unpacked (or downloaded) archives.
        count: images in each split.
        size: height and width of the images, where the data set's are not all of one size.
        seed: decides what they show.

    Raises:
        ValueError: no stand-in of that name.
    """
    if name not in _WRITERS:
        raise ValueError(
            f"Expected one of {', '.join(DUMMY_DATASETS)}. Received: {name!r}."
            f"{nearest(name, DUMMY_DATASETS)}"
        )
    _writer(name)(Path(root), Pictures(size, seed), count)


def load_dummy(
    name: str, folder: Path, options: dict | None = None, **how
) -> SegmentationDataset:
    """Write a stand-in under `folder`, prepare it there and load it as `data.load` would.

    Args:
        name: one of `DUMMY_DATASETS`.
        folder: empty, or one that an earlier call filled.
        options: of the data set; those that say where files are do not count.
        **how: `count`, `size` and `seed` of `write_dummy`.
    """
    files = Path(folder) / name / "files"
    if not files.exists():
        write_dummy(name, files, **how)
    location = _WRITERS[name][1]
    places = {location: files, "data_dir": Path(folder) / name / "prepared"}
    return registry.load(name, **{**(options or {}), **places})


def _writer(name: str) -> Callable[[Path, Pictures, int], None]:
    module, function = _WRITERS[name][0].split(":")
    return getattr(importlib.import_module(f"keras_ctxseg.data.dummy.{module}"), function)
