"""What the builders share: features, metadata, and where the files come from."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image

from keras_ctxseg.data.builders.published import PublishedDataset


class SegmentationBuilder(
    tfds.core.GeneratorBasedBuilder,
    skip_registration=True,  # type: ignore[call-arg]
):
    """A data set of `image`, `label` (class ids, or the ignore label) and `name`.

    Image files go into the records as they are. Examples keep the order of the files.

    Args:
        source: a folder that holds what the archives unpack to; nothing is downloaded then.
        **kwargs: `tfds.core.DatasetBuilder`'s: `data_dir`, `config`, `version`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First."}
    PUBLISHED: ClassVar[PublishedDataset]
    URLS: ClassVar[Mapping[str, str]]
    IMAGE_FORMAT: ClassVar[str] = "jpeg"

    def __init__(self, *, source: str | os.PathLike | None = None, **kwargs):
        self._source = None if source is None else epath.Path(source).expanduser()
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        facts = self.PUBLISHED
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{facts.title}: {len(facts.class_names)} classes. {facts.licence}",
            features=tfds.features.FeaturesDict(self._features()),
            homepage=facts.homepage,
            citation=facts.citation,
            license=facts.licence,
            disable_shuffling=True,  # the training pipeline shuffles; evaluation keeps the order
            metadata=tfds.core.MetadataDict(class_names=list(facts.class_names)),
        )

    def _features(self) -> dict[str, Any]:
        return {
            "image": tfds.features.Image(encoding_format=self.IMAGE_FORMAT),
            "label": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
            "name": tfds.features.Text(),
        }

    def _folders(self, dl_manager, urls: Mapping[str, str] | None = None) -> dict[str, epath.Path]:
        """For each archive the folder with its content, downloaded unless there is a `source`."""
        urls = self.URLS if urls is None else urls
        if self._source is not None:
            return dict.fromkeys(urls, self._source)
        folders = dl_manager.download_and_extract(dict(urls))
        if not isinstance(folders, Mapping):  # TFDS' test case gives one folder for all archives
            folders = dict.fromkeys(urls, folders)
        return {key: epath.Path(folder) for key, folder in folders.items()}


def example(name: str, image: epath.Path, label: np.ndarray, **more) -> tuple[str, dict[str, Any]]:
    """What `_generate_examples` yields; `label` holds ids below 256, `(height, width)`."""
    label = np.ascontiguousarray(label[..., None], np.uint8)
    return name, {"image": image, "label": label, "name": name, **more}


def read_ids(path: epath.Path) -> np.ndarray:
    """The stored values of a grey or palette PNG: `(height, width)`."""
    with path.open("rb") as file, Image.open(file) as image:
        return np.array(image)


def read_mat(path: epath.Path) -> dict[str, Any]:
    """The variables of a MATLAB file."""
    import scipy.io

    with path.open("rb") as file:
        return scipy.io.loadmat(file)


def read_names(path: epath.Path) -> list[str]:
    """The lines of a list of image names, without empty ones."""
    return path.read_text().split()


def paired(images: epath.Path, labels: epath.Path) -> Iterator[tuple[str, epath.Path, epath.Path]]:
    """`(name, image, label)` for each JPEG file of a folder, sorted, and the PNG of its name."""
    for image in sorted(images.glob("*.jpg")):
        yield image.stem, image, labels / f"{image.stem}.png"


def inside(root: epath.Path, preferred: str, folder: str) -> epath.Path:
    """`root/preferred/folder` where it exists, else `root/folder`, as an archive unpacks."""
    path = root / preferred / folder
    return path if path.exists() else root / folder
