"""What the builders share: features, metadata, downloads, and making a `SegmentationDataset`."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image
from tensorflow_datasets.core.download import download_manager, extractor

from keras_ctxseg.data.builders.published import PublishedDataset, class_id_table
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.data.readers import LabelReader, RecordExamples


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
        check_first_downloads(dl_manager)
        if not isinstance(folders, Mapping):  # TFDS' test case gives one folder for all archives
            folders = dict.fromkeys(urls, folders)
        return {key: epath.Path(folder) for key, folder in folders.items()}


def check_first_downloads(dl_manager: Any) -> None:
    """Records the SHA-256 of each archive at its first download, and refuses another one later.

    Some publishers give no checksums. `first_downloads.tsv` in TFDS' download folder has a line for
    each URL.

    Raises:
        NonMatchingChecksumError: naming the URL, what was expected and what was found.
    """
    record = epath.Path(dl_manager.download_dir) / "first_downloads.tsv"
    lines = record.read_text().splitlines() if record.exists() else []
    known = {url: digest for url, _, digest in (line.partition("\t") for line in lines)}
    # TFDS gives no other access to what it has computed.
    found = {url: info.checksum for url, info in dl_manager._recorded_url_infos.items()}
    for url, digest in found.items():
        if known.get(url, digest) != digest:
            raise download_manager.NonMatchingChecksumError(
                f"{url} is another file than at its first download: expected sha256 {known[url]}, "
                f"found {digest}. If its publisher says that it was replaced, delete its line in "
                f"{record}"
            )
    if not found.keys() <= known.keys():
        partial = record.with_name(f".{record.name}.{os.getpid()}")
        partial.write_text("".join(f"{url}\t{each}\n" for url, each in {**known, **found}.items()))
        partial.replace(record)


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


_PREPARATION_ERRORS = (
    OSError,
    AssertionError,  # of TFDS's own builders, where files were not put in place by hand
    tf.errors.OpError,
    tfds.download.DownloadError,
    download_manager.NonMatchingChecksumError,
    extractor.ExtractError,
)


@dataclasses.dataclass(frozen=True)
class PanopticRecords:
    """How records become panoptic label maps.

    Attributes:
        thing_classes: ids of the classes whose objects are told apart.
        read_label: from a record's parts to int32 `(height, width)`.
        features: the builder's features that it needs beside image, label and name.
    """

    thing_classes: tuple[int, ...]
    read_label: LabelReader
    features: tuple[str, ...] = ()


def load_prepared(
    facts: PublishedDataset,
    builder: tfds.core.DatasetBuilder,
    ids: Mapping[int, int],
    features: tuple[str, str, str] = ("image", "label", "name"),
    manual_dir: str | os.PathLike | None = None,
    rename: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    panoptic: PanopticRecords | None = None,
) -> SegmentationDataset:
    """Prepare a data set if it is not prepared yet, and open it.

    Args:
        facts: what it is.
        builder: makes the TFRecord files.
        ids: grey value of the stored label -> class id or ignore label.
        features: names of the builder's image, label and name features.
        manual_dir: where archives lie that had to be downloaded by hand.
        rename: from the name feature to the example's name.
        panoptic: how records become panoptic label maps; None for classes alone.

    Raises:
        ValueError: files that are missing or cannot be downloaded or written; says how to get them.
    """
    prepare(builder, facts, manual_dir)
    parse = _parser(builder, features, rename, panoptic.features if panoptic else ())
    parts = {
        split: parts
        for split, parts in facts.prepared_splits.items()
        if all(part in builder.info.splits for part in parts)
    }

    def open_split(split: str) -> RecordExamples:
        files = [file for part in parts[split] for file in builder.info.splits[part].filepaths]
        read_label = panoptic.read_label if panoptic else None
        return RecordExamples(
            files, parse, class_id_table(ids), f"{facts.name}/{split}", read_label
        )

    return SegmentationDataset(
        name=facts.name,
        class_names=facts.class_names,
        palette=facts.palette,
        splits={
            split: sum(builder.info.splits[part].num_examples for part in parts[split])
            for split in parts
        },
        open_split=open_split,
        thing_classes=panoptic.thing_classes if panoptic else (),
    )


def folder_of(path: str | os.PathLike | None) -> str | None:
    """A folder option with `~` resolved; None leaves the choice to TFDS."""
    return None if path is None else os.path.expanduser(path)


def _parser(builder, features, rename, more=()):
    image, label, name = features
    described = builder.info.features
    skip = tfds.decode.SkipDecoding()

    def parse(record: tf.Tensor) -> dict[str, tf.Tensor]:
        wanted = tfds.decode.PartialDecoding(dict.fromkeys([*features, *more], True))
        subset = wanted.extract_features(described)
        parts: dict[str, Any] = subset.deserialize_example(
            record, decoders={image: skip, label: skip}
        )
        files = {"image": parts[image], "label": parts[label], "name": rename(parts[name])}
        return {**files, **{key: parts[key] for key in more}}

    return parse


def prepare(
    builder: tfds.core.DatasetBuilder,
    facts: PublishedDataset,
    manual_dir: str | os.PathLike | None = None,
) -> None:
    """Make the records of a data set if they are not there; see `load_prepared`."""
    if builder.is_prepared():
        return
    print(f"Preparing {facts.title} in {builder.data_path} ...", flush=True)
    config = tfds.download.DownloadConfig(
        manual_dir=folder_of(manual_dir), compute_stats=tfds.download.ComputeStatsMode.SKIP
    )
    try:
        # TFDS announces sizes that it does not know; its progress bars stay, they go to stderr.
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare(download_config=config, file_format="tfrecord")
    except _PREPARATION_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"{facts.title} could not be prepared: {reason.rstrip('.')}. {facts.how_to_get}"
        ) from error
