"""Stand-ins by data set: writing them, and loading them through the real builders."""

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from keras_ctxseg._naming import nearest
from keras_ctxseg.data import registry
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.dummy.pictures import Pictures

# Where the writer is, and which option of the data set's loader takes the folder. TFDS's builders
# without such an option download; for those the folder stands in for what they would get.
_WRITERS: dict[str, tuple[str, str | None]] = {
    "ade20k": ("ade20k:write_ade20k", "source"),
    "camvid": ("camvid:write_camvid", "source"),
    "cifar10": ("cifar10:write_cifar10", None),
    "cityscapes": ("cityscapes:write_cityscapes", "manual_dir"),
    "coco_panoptic": ("coco:write_coco_panoptic", "source"),
    "coco_stuff": ("coco:write_coco_stuff", "source"),
    "oxford_iiit_pet": ("oxford_iiit_pet:write_oxford_iiit_pet", None),
    "pascal_context": ("pascal_context:write_pascal_context", "source"),
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


def load_dummy(name: str, folder: Path, options: dict | None = None, **how) -> SegmentationDataset:
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
    with _quiet(), contextlib.ExitStack() as stack:
        if _WRITERS[name][1] is None:
            stack.enter_context(_downloads_from(files))
        return registry.load(name, **dummy_options(name, folder, options))


def dummy_options(name: str, folder: Path, options: dict | None = None) -> dict:
    """The options that load what `load_dummy` has made under `folder`."""
    location = _WRITERS[name][1]
    places = {"data_dir": Path(folder) / name / "prepared"}
    if location is not None:
        places[location] = Path(folder) / name / "files"
    return {**(options or {}), **places}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neither TFDS's bars nor the line that says that something is prepared."""
    from tensorflow_datasets.core.utils import tqdm_utils

    shown = tqdm_utils._active
    tqdm_utils.display_progress_bar(False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        tqdm_utils.display_progress_bar(shown)


def _downloads_from(files: Path):
    import tensorflow_datasets as tfds

    def download_and_extract(self, urls):
        return dict.fromkeys(urls, files) if isinstance(urls, dict) else files

    return mock.patch.object(
        tfds.download.DownloadManager, "download_and_extract", download_and_extract
    )


def _writer(name: str) -> Callable[[Path, Pictures, int], None]:
    module, function = _WRITERS[name][0].split(":")
    return getattr(importlib.import_module(f"keras_ctxseg.data.dummy.{module}"), function)
