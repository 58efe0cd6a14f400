"""Random access to examples inside the TensorFlow graph: in TFRecord files, or held in memory.

A TFRecord file has no index, so the first use of a set of files walks through them once and
remembers, in the user's cache folder, where each record starts and how large its image is. From
then on a record is one read at its own place; nothing goes through Python (see `decoding`).
"""

import hashlib
import json
import os
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from keras_ctxseg._untrusted import UNREADABLE, check_zip
from keras_ctxseg.data.augmentation_config import MIN_SIZE
from keras_ctxseg.data.check_cache import cache_folder, stamp
from keras_ctxseg.data.class_file import id_ranges
from keras_ctxseg.data.decoding import decode_grey, decode_rgb
from keras_ctxseg.data.folder_checks import BINARY_ADVICE
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

_FORMAT = 1  # raised when the index's content changes
_LENGTH, _FRAME = 8, 16  # bytes: a record's length; that with the two checksums
_BUFFER = 1 << 18
_SHOWN = 5  # faults in an error
_DECODING = (tf.errors.OpError, UnicodeError)
_PNG_SIZE = 16  # where a PNG file holds its width and height

# Bytes of a serialised record -> scalar strings: `image` and `label`, which are encoded files, and
# `name`; without a name, an example is called by its number.
Parser = Callable[[tf.Tensor], dict[str, tf.Tensor]]
LabelReader = Callable[[dict[str, tf.Tensor]], tf.Tensor]


class RecordExamples:
    """Random access to TFRecord files; see `ExampleReader`.

    Args:
        files: uncompressed TFRecord files, in order.
        parse: takes a record apart.
        class_ids: integer `(65536,)`, the label image's grey value -> class id or ignore label; -1
            where there is none, which losses and metrics refuse.
        description: what is indexed, for the progress bar.
        read_label: from what `parse` gives to the label map, int32 `(height, width)`; instead of
            `class_ids`.
        check: decode every image and every label once, as `folder` checks its files; what was found
            right is remembered until a file changes.

    Raises:
        ValueError: no such files, one that is cut off or empty, or with `check` a record that
            cannot be trained on: damaged, a label of another size, or an id that `class_ids` does
            not have; names file and record.
    """

    def __init__(
        self,
        files: Sequence[str | os.PathLike],
        parse: Parser,
        class_ids: np.ndarray,
        description: str = "records",
        read_label: LabelReader | None = None,
        check: bool = False,
    ):
        self._parse = parse
        paths = [Path(file) for file in files]
        rules = class_ids if check else None
        numbers, starts, self.sizes = _index(paths, parse, description, rules)
        with tf.device("CPU"):
            self._files = tf.constant([str(path) for path in paths])
            self._numbers, self._starts = tf.constant(numbers), tf.constant(starts)
            ids = tf.constant(class_ids, tf.int32)
        self._read_label = read_label or (lambda parts: tf.gather(ids, decode_grey(parts["label"])))

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ExampleReader.read`."""
        file = tf.gather(self._files, tf.gather(self._numbers, index))
        parts = self._parse(_record_at(file, tf.gather(self._starts, index)))
        label = self._read_label(parts)
        return {
            "image": tf.ensure_shape(decode_rgb(parts["image"]), (None, None, 3)),
            "label": tf.ensure_shape(label, (None, None)),
            "name": tf.where(parts["name"] == "", tf.as_string(index), parts["name"]),
        }


def _record_at(file: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The record that begins at byte `start`; its checksum is checked."""
    # `tf.data.TFRecordDataset` has no argument for the place to start; its operation has.
    records = tf.raw_ops.TFRecordDatasetV2(
        filenames=file[None],
        compression_type="",
        buffer_size=_BUFFER,
        byte_offsets=start[None],
    )
    kinds: dict = {"output_types": [tf.string], "output_shapes": [[]]}
    first = tf.raw_ops.TakeDataset(input_dataset=records, count=1, **kinds)
    return tf.raw_ops.DatasetToSingleElement(dataset=first, **kinds)[0]


def _index(
    paths: list[Path], parse: Parser, description: str, class_ids: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each record: its file's number, its first byte, and its image's height and width.

    With `class_ids` every record is checked.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing or not paths:
        raise ValueError(f"{missing[0] if missing else 'no files'}: expected a TFRecord file")
    rules = hashlib.sha256(class_ids.tobytes()).hexdigest() if class_ids is not None else ""
    key = json.dumps([_FORMAT, rules, [[str(path.resolve()), *stamp(path)] for path in paths]])
    cached = cache_folder() / "records" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    known = _cached_index(cached, paths)
    if known is not None:
        return known
    per_file = [_record_starts(path) for path in paths]
    numbers = np.repeat(np.arange(len(paths)), [len(starts) for starts in per_file])
    starts = np.concatenate(per_file).astype(np.int64)
    if class_ids is None:
        image_sizes = _read_sizes(paths, parse, description, len(starts))
    else:
        image_sizes = _checked_sizes(paths, per_file, parse, description, class_ids)
    _save(cached, numbers, starts, image_sizes)
    return numbers, starts, image_sizes


def _cached_index(
    file: Path, paths: list[Path]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """What `_index` has saved; None where it has not, or the file holds anything else."""
    try:
        with zipfile.ZipFile(file) as archive:
            check_zip(archive)
        with np.load(file) as content:
            numbers, starts, sizes = (content[key] for key in ("numbers", "starts", "sizes"))
        lengths = np.array([path.stat().st_size for path in paths])
        right = (
            numbers.shape == starts.shape == (len(sizes),)
            and sizes.shape[1:] == (2,)
            and all(array.dtype.kind == "i" for array in (numbers, starts, sizes))
            and np.all((numbers >= 0) & (numbers < len(paths)))
            and np.all((starts >= 0) & (starts < lengths[numbers]))
            and np.all(sizes > 0)
        )
        return (numbers, starts, sizes) if right else None
    except UNREADABLE:
        return None


def _read_sizes(paths: list[Path], parse: Parser, description: str, count: int) -> np.ndarray:
    records = tf.data.TFRecordDataset([str(path) for path in paths])
    sizes = records.map(lambda record: _size(parse(record)["image"]), tf.data.AUTOTUNE)
    progress = tqdm(
        sizes.as_numpy_iterator(),
        desc=f"Indexing {description}",
        total=count,
        delay=1.0,
        leave=False,
    )
    return np.array(list(progress), np.int64).reshape(-1, 2)


def _checked_sizes(
    paths: list[Path],
    per_file: list[list[int]],
    parse: Parser,
    description: str,
    class_ids: np.ndarray,
) -> np.ndarray:
    """The sizes of all images; raises `ValueError` with the first few faults."""
    places = [
        (path, number, start)
        for path, starts in zip(paths, per_file, strict=True)
        for number, start in enumerate(starts)
    ]

    seen: set[int] = set()

    def check(place) -> tuple[int, int] | str:
        path, number, start = place
        with tf.device("CPU"):
            try:
                parts = parse(_record_at(tf.constant(str(path)), tf.constant(start, tf.int64)))
            except _DECODING as error:
                return _fault(path, number, "a whole tf.train.Example with image and label", error)
            try:
                image = decode_rgb(parts["image"])
            except _DECODING as error:
                return _fault(path, number, "an image as JPEG or PNG", error)
            try:
                label = decode_grey(parts["label"]).numpy()
            except _DECODING as error:
                return _fault(path, number, "a label as PNG of one channel", error)
        size = tuple(image.shape[:2])
        if min(size) < MIN_SIZE:
            return _fault(path, number, f"an image of {MIN_SIZE} pixels a side or more", size)
        if label.shape[:2] != size:
            return _fault(path, number, f"a label of its image's size {size}", label.shape[:2])
        present = np.unique(label)
        seen.update(present.tolist())
        unknown = present[class_ids[present] < 0]
        if unknown.size:
            known = id_ranges(np.flatnonzero(class_ids >= 0))
            return _fault(path, number, f"ids {known}", ", ".join(map(str, unknown[:8])))
        return size

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(
            tqdm(
                pool.map(check, places),
                desc=f"Checking {description}",
                total=len(places),
                delay=1.0,
                leave=False,
            )
        )
    faults = [fault for fault in found if isinstance(fault, str)]
    if faults:
        more = f"\n... and {len(faults) - _SHOWN} more." if len(faults) > _SHOWN else ""
        raise ValueError("\n".join(faults[:_SHOWN]) + more)
    classes = class_ids[(class_ids >= 0) & (class_ids != IGNORE_LABEL)]
    if seen == {0, IGNORE_LABEL} and class_ids[IGNORE_LABEL] == IGNORE_LABEL and classes.max() == 1:
        raise ValueError(f"{paths[0]}: expected labels of two classes. {BINARY_ADVICE}")
    return np.array(found, np.int64).reshape(-1, 2)


def _fault(path: Path, number: int, expected: str, found: object) -> str:
    if isinstance(found, UnicodeError):  # TensorFlow's message quotes the damaged bytes
        found = "another content"
    elif isinstance(found, tf.errors.OpError):
        found = (found.message or type(found).__name__).split("\n")[0].split(" [Op:")[0]
    return f"{path}: record {number}: expected {expected}. Found: {found}"


def _record_starts(path: Path) -> list[int]:
    starts, place, end = [], 0, path.stat().st_size
    if not end:
        raise ValueError(f"{path}: expected a TFRecord file. Found: an empty file (0 bytes)")
    with path.open("rb") as file:
        while place < end:
            file.seek(place)
            length = file.read(_LENGTH)
            starts.append(place)
            if len(length) == _LENGTH:
                place += struct.unpack("<Q", length)[0] + _FRAME
            if len(length) < _LENGTH or place > end:
                raise ValueError(
                    f"{path}: expected an uncompressed TFRecord file. Found: record "
                    f"{len(starts) - 1} reaches beyond the file's {end} bytes (cut off, compressed "
                    "or another format)"
                )
    return starts


def _size(contents: tf.Tensor) -> tf.Tensor:
    """Height and width of an encoded JPEG or PNG file, from its header."""

    def png():
        width_height = tf.io.decode_raw(
            tf.strings.substr(contents, _PNG_SIZE, 8), tf.int32, little_endian=False
        )
        return tf.reverse(tf.ensure_shape(width_height, (2,)), [0])

    is_jpeg = tf.strings.substr(contents, 0, 2) == b"\xff\xd8"
    return tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(contents)[:2], png)


def _save(path: Path, numbers: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> None:
    """Writes in one step; a cache that cannot be written is none."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            temporary = file.name
            np.savez(file, numbers=numbers, starts=starts, sizes=sizes)
        os.replace(temporary, path)
    except OSError:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


class PackedExamples:
    """All examples of a split, end to end in one buffer of pixels and one of labels.

    One buffer, rather than a list, is what a graph can slice at a run-time index; images of
    different sizes may stand next to each other.

    Args:
        examples: dicts of `image` uint8 `(height, width, channels)`, `label` integer
            `(height, width)` in 0 ... 255, and `name` (bytes or str).
        sizes: integer `(examples, 2)`, the height and width of each example.
        label_dtype: of the buffer of labels; int32 for panoptic label maps.
        channels: of the images.

    Raises:
        ValueError: an example whose size is not the one announced.
    """

    def __init__(
        self,
        examples: Iterable[dict],
        sizes: np.ndarray,
        label_dtype: type = np.uint8,
        channels: int = 3,
    ):
        self._channels = channels
        self.sizes = np.asarray(sizes, np.int64).reshape(-1, 2)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes.prod(axis=1))])
        pixels = np.empty((self._starts[-1], channels), np.uint8)
        labels = np.empty(self._starts[-1], label_dtype)
        names = []
        for index, example in enumerate(examples):
            size = tuple(self.sizes[index])
            if example["image"].shape != (*size, channels) or example["label"].shape != size:
                raise ValueError(
                    f"Example {example['name']!r}: expected an image and a label of {size}. "
                    f"Received: {example['image'].shape} and {example['label'].shape}"
                )
            here = slice(self._starts[index], self._starts[index + 1])
            pixels[here] = example["image"].reshape(-1, channels)
            labels[here] = example["label"].reshape(-1)
            names.append(example["name"])
        if len(names) != len(self.sizes):
            raise ValueError(f"Expected {len(self.sizes)} examples. Received: {len(names)}")
        with tf.device("CPU"):
            self._pixels, self._labels = tf.constant(pixels), tf.constant(labels)
            self._names = tf.constant(names, tf.string)

    def __len__(self) -> int:
        return len(self.sizes)

    def read(self, index: tf.Tensor) -> dict[str, tf.Tensor]:
        """See `ExampleReader.read`."""
        start = tf.gather(self._starts, index)
        size = tf.gather(self.sizes, index)
        count = tf.reduce_prod(size)
        image = tf.slice(self._pixels, [start, 0], [count, self._channels])
        label = tf.slice(self._labels, [start], [count])
        return {
            "image": tf.reshape(image, tf.concat([size, [self._channels]], 0)),
            "label": tf.reshape(tf.cast(label, tf.int32), size),
            "name": tf.gather(self._names, index),
        }
