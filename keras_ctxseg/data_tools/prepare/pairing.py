"""Finds images and their masks in folders of any depth; a pair on its way into a data set."""

import dataclasses
import functools
import hashlib
import io
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.images import (
    ANY_SIZE,
    SUFFIXES,
    FileError,
    Stored,
    decode,
    decode_stored,
    read_stored,
)
from keras_ctxseg.data.orientation import upright, upright_size


def find_sources(folder: str | os.PathLike) -> dict[str, Path]:
    """The image files of a folder and its subfolders, by path without suffix, sorted.

    Raises:
        FileError: no such folder, none in it, or two of one name.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        found = "a file" if root.exists() else "none"
        raise FileError("layout", root, f"expected a folder of images. Found: {found}")
    files: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in SOURCE_SUFFIXES or path.name.startswith("."):
            continue
        key = unicodedata.normalize("NFC", path.relative_to(root).with_suffix("").as_posix())
        if key in files:
            text = f"expected one file for each name. Found: {files[key].name} as well"
            raise FileError("same_name", path, text)
        files[key] = path
    if not files:
        text = f"expected files ending in {', '.join(SOURCE_SUFFIXES)}. Found: none"
        raise FileError("layout", root, text)
    return files


def pair_files(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    image_suffix: str = "",
    mask_suffix: str = "",
    skip_unpaired: bool = False,
) -> dict[str, tuple[Path, Path]]:
    """Image and mask by name, where both have the same path below their folders.

    Args:
        images, masks: the folders; one and the same if `mask_suffix` tells masks apart.
        image_suffix, mask_suffix: what the names of images and masks end in, before the file's
            suffix, and what is left out when they are compared: `"_L"` for `a.png` and `a_L.png`.
        skip_unpaired: leave files without a partner out.

    Raises:
        FileError: a file without a partner; says which suffix would make pairs, if one would.
    """
    image_files = _stripped(find_sources(images), image_suffix)
    mask_files = _stripped(find_sources(masks), mask_suffix)
    if Path(images).resolve() == Path(masks).resolve():
        if not mask_suffix:
            text = "expected a suffix that tells masks from images (--mask-suffix). Found: none"
            raise FileError("layout", Path(masks), text)
        taken = set(mask_files.values())
        image_files = {key: path for key, path in image_files.items() if path not in taken}
    both = image_files.keys() & mask_files.keys()
    lonely = sorted(image_files.keys() ^ mask_files.keys())
    if lonely and not (skip_unpaired and both):
        suggestion = _suggestion(list(image_files), list(mask_files), mask_suffix)
        if lonely[0] in image_files:
            code, path, partner, folder = "missing_mask", image_files[lonely[0]], "mask", masks
        else:
            code, path, partner, folder = "missing_image", mask_files[lonely[0]], "image", images
        raise FileError(
            code,
            path,
            f"expected a {partner} of the same name in {folder}. Found: none ({len(lonely)} files "
            f"without a partner, {len(both)} pairs).{suggestion}",
        )
    return {flat_name(key): (image_files[key], mask_files[key]) for key in sorted(both)}


def flat_name(path: str) -> str:
    """A path without suffix as the name of one file: `"a/b"` as `a__b`, a long one shortened."""
    name = normal(path).strip("./").replace("/", "__") or "_"
    if len(name.encode()) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        name = f"{name.encode()[:_LONGEST_NAME].decode(errors='ignore')}_{digest}"
    return name


def normal(path: str) -> str:
    """A stated path as this system has it: `/` for Windows' separators, accents composed (NFC)."""
    return unicodedata.normalize("NFC", path.replace("\\", "/"))


class FileFinder:
    """The files of a folder and its subfolders, by the paths that annotations state.

    Annotations come from other systems: they may hold Windows' separators, absolute paths of
    another machine, or accents that are composed otherwise (macOS).

    Args:
        folder: where to look.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    @functools.cached_property
    def _files(self) -> dict[str, Path]:
        """By normal path, and by name where only one file has it."""
        by_path: dict[str, Path] = {}
        by_name: dict[str, list[Path]] = {}
        for parent, _, names in os.walk(self._folder):
            for name in names:
                path = Path(parent) / name
                by_path[normal(os.path.relpath(path, self._folder))] = path
                by_name.setdefault(normal(name), []).append(path)
        unique = {name: paths[0] for name, paths in by_name.items() if len(paths) == 1}
        return unique | by_path

    def find(self, stated: str) -> Path | None:
        """The file of a stated path or name, or None."""
        path = normal(stated)
        files = self._files
        name = path.rsplit("/", 1)[-1]
        return files.get(path.removeprefix("./")) or files.get(name)


def _stripped(files: dict[str, Path], suffix: str) -> dict[str, Path]:
    return {key.removesuffix(suffix): path for key, path in files.items() if key.endswith(suffix)}


def _suggestion(images: Sequence[str], masks: Sequence[str], given: str) -> str:
    """The ending that most masks have beyond an image's name."""
    if given:
        return ""
    names = set(images)
    endings: Counter[str] = Counter()
    for mask in masks:
        # The longest image name that the mask's name begins with.
        for length in range(len(mask) - 1, 0, -1):
            if mask[:length] in names:
                endings[mask[length:]] += 1
                break
    if not endings:
        return " (--skip-unpaired leaves such files out.)"
    ending, count = endings.most_common(1)[0]
    return f" --mask-suffix {ending} would make {count} pairs."


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


Exif = Literal["auto", "upright", "stored", "keep"]
EXIF_CHOICES = ("auto", "upright", "stored", "keep")

SOURCE_SUFFIXES = SUFFIXES
_LONGEST_NAME = 200  # bytes; most systems allow 255, with suffix
_ENDINGS = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp",
    "DIB": ".bmp", "GIF": ".gif", "PPM": ".ppm", "JPEG2000": ".jp2", "NPY": ".npy",
}  # fmt: skip
_KEPT = ("JPEG", "MPO", "PNG")
_JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class Pair:
    """An image and what makes its mask.

    Attributes:
        name: of the files that are written, without suffix.
        image: a file of any format that Pillow reads, or a function that gives its bytes.
        source: the file that errors name.
        mask: a file that is copied as it is, or a function that gives uint8 `(height, width)`.
        size: height and width of the mask, where they are known before it is drawn.
        stated_in: the annotation file that states the size.
    """

    name: str
    image: Path | Callable[[], bytes]
    source: Path
    mask: Path | Callable[[], np.ndarray]
    size: tuple[int, int] | None = None
    stated_in: Path | None = None

    def copy_into(self, split: Path, exif: Exif = "auto") -> None:
        """Write `images/<name>` and `labels/<name>`.

        JPEG and PNG files are copied as they are, other pictures become PNG, and what PNG cannot
        hold (16-bit colours, further bands) is copied. An image that its EXIF data turns is written
        anew without them: turned where the mask is of the turned size (as most annotation tools
        have it), otherwise as stored.

        Args:
            split: the folder of the split.
            exif: `"auto"` as above, or `"upright"` (turn) or `"keep"` (do not) whatever fits;
                `"stored"` is another word for `"keep"`.

        Raises:
            FileError: an image or a mask that cannot be read, or is of another size.
        """
        mask = None if self.size else self.read_mask()
        size = tuple(self.size or mask.shape[:2])  # type: ignore[union-attr]
        content = self.image if isinstance(self.image, Path) else self.image()
        if isinstance(content, bytes):
            stored = decode_stored(content, self.source, ANY_SIZE)
        else:
            stored = read_stored(content, ANY_SIZE)
        header = stored.header
        turned_size = upright_size(header.height, header.width, header.orientation)
        turned = header.orientation != 1
        turn = turned and exif in ("auto", "upright") and (exif == "upright" or turned_size == size)
        written = turned_size if turn else (header.height, header.width)
        if written != size:
            raise FileError(
                "size_mismatch",
                self.source,
                f"expected a mask of {written[0]}x{written[1]} (height x width). "
                f"Found: {size[0]}x{size[1]}" + (f" in {self.stated_in}" if self.stated_in else ""),
            )
        mask = self.read_mask() if mask is None else mask
        target = f"{split / 'images' / self.name}{_ENDINGS.get(header.format, '.png')}"
        if turned or (header.format not in _KEPT and is_picture(stored)):
            _save_turned(stored, header.orientation if turn else 1, target)
        elif isinstance(content, bytes):
            Path(target).write_bytes(content)
        else:
            shutil.copyfile(content, target)
        label = split / "labels" / self.name
        if isinstance(self.mask, Path):
            shutil.copyfile(self.mask, f"{label}{self.mask.suffix}")
        else:
            Image.fromarray(mask).save(f"{label}.png")

    def read_mask(self) -> np.ndarray:
        """The mask's pixels: as a file holds them, or as the function gives them."""
        if not isinstance(self.mask, Path):
            return self.mask()
        with open_any(self.mask, self.mask) as mask:
            decode(mask, self.mask)
            return np.asarray(mask)


@contextmanager
def open_any(image: Path | bytes, source: Path) -> Iterator[Image.Image]:
    """Open an image of any format. Raises `FileError`."""
    try:
        opened = Image.open(io.BytesIO(image) if isinstance(image, bytes) else image)
    except Exception as error:  # A damaged header raises nearly anything.
        text = f"expected a readable image. Found: {error or type(error).__name__}"
        raise FileError("unreadable", source, text) from error
    with opened:
        yield opened


def is_picture(stored: Stored) -> bool:
    """Whether an image is grey or RGB of 8 bits."""
    colors = stored.values.shape[-1] - stored.has_alpha
    return stored.values.dtype in (np.uint8, bool) and colors in (1, 3)


def _save_turned(stored: Stored, orientation: int, target: str) -> None:
    """Writes an image's pixels without EXIF data, turned."""
    values, stem = stored.values, target.rpartition(".")[0]
    if not is_picture(stored):
        np.save(f"{stem}.npy", upright(values, orientation))
        return
    pixels = ImageReading().pixels(values, stored.has_alpha)
    save_rgb(upright(pixels, orientation), f"{stem}{'.jpg' if target.endswith('.jpg') else '.png'}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Raises `ValueError` for a word that is not among the choices."""
    if value not in choices:
        raise ValueError(f"`{name}`: expected one of {', '.join(choices)}. Received: {value!r}")


@contextmanager
def any_size() -> Iterator[None]:
    """Lifts Pillow's limit of 179 megapixels: these are the user's own files, not a stranger's."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def save_rgb(rgb: np.ndarray, path: str | os.PathLike) -> None:
    """Write pixels as a JPEG of high quality or as a PNG, by the name's suffix."""
    image = Image.fromarray(np.ascontiguousarray(rgb))
    if str(path).endswith(".jpg"):
        image.save(path, quality=_JPEG_QUALITY, subsampling=0)
    else:
        image.save(path)
