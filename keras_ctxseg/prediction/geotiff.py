"""GeoTIFF: label maps with their image's georeference, and mosaics read window by window.

Needs rasterio, of the extra `formats`; without it, GeoTIFFs are images like others.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_ctxseg.data.image_reading import ImageReading, ReadingError
from keras_ctxseg.data.images import FileError
from keras_ctxseg.inference.protocol import Protocol

if TYPE_CHECKING:
    from keras_ctxseg.inference.predictor import Predictor

MOSAIC_PIXELS = 2**26  # 8,192x8,192: from here on an image is read window by window
WINDOW = 1024
PREVIEW = 2048  # longest side of a mosaic's overlay

_SUFFIXES = (".tif", ".tiff")
_ROWS = 64  # of a strip; what the predictor finishes together
_NO_LABEL = 255


class MosaicLabels(NamedTuple):
    """What was written for a mosaic.

    Attributes:
        path: the GeoTIFF of class ids.
        height, width: of it.
        counts: pixels by class.
        preview: uint8 (height, width, 3), the mosaic made small.
        labels: int32 (height, width), the label map made as small.
    """

    path: Path
    height: int
    width: int
    counts: np.ndarray
    preview: np.ndarray
    labels: np.ndarray


class Mosaic:
    """A GeoTIFF that is read where it is sliced, as if it were an array.

    Args:
        path: the file.
        reading: bands and range.

    Attributes:
        path: the file.
        shape: (height, width, channels).
        ndim: 3.
    """

    ndim = 3

    def __init__(self, path: Path, reading: ImageReading):
        self.path, self.reading = path, reading
        self._file = _open(path)
        from rasterio.enums import ColorInterp

        self.has_alpha = self._file.colorinterp[-1] == ColorInterp.alpha
        self.shape = (self._file.height, self._file.width, self[:1, :1].shape[-1])

    def __getitem__(self, place: tuple[slice, slice]) -> np.ndarray:
        rows, columns = place
        return self._read(window=(_bounds(rows, self._file.height),
                                  _bounds(columns, self._file.width)))  # fmt: skip

    def preview(self) -> np.ndarray:
        """The whole picture made small, uint8 (height, width, channels)."""
        return self._read(out_shape=(self._file.count, *preview_size(*self.shape[:2])))

    def _read(self, **options: Any) -> np.ndarray:
        from rasterio.errors import RasterioError

        try:
            values = np.moveaxis(self._file.read(**options), 0, -1)
            return self.reading.pixels(values, self.has_alpha)
        except ReadingError as error:
            raise FileError("image_values", self.path, str(error)) from error
        except (RasterioError, OSError) as error:
            text = f"expected a complete image. Found: {error}"
            raise FileError("truncated", self.path, text) from error

    def close(self) -> None:
        self._file.close()


def open_mosaic(path: Path, reading: ImageReading) -> Mosaic | None:
    """A TIFF file of 67 megapixels or more, to be read window by window; None for other files.

    Raises:
        FileError: a file that cannot be read so.
    """
    if path.suffix.lower() not in _SUFFIXES or not _has_rasterio():
        return None
    try:
        with _open(path) as file:
            large = file.height * file.width >= MOSAIC_PIXELS
    except FileError:
        return None  # Whoever reads it as an image has the better words.
    return Mosaic(path, reading) if large else None


def mosaic_protocol(protocol: Protocol | None, image_scale: float) -> Protocol:
    """How a mosaic goes through the network: in windows, scaled one by one."""
    protocol = protocol or Protocol()
    scales = tuple(scale * image_scale for scale in protocol.scales)
    return replace(protocol, scales=scales, window=protocol.window or (WINDOW, WINDOW))


def label_mosaic(
    predictor: Predictor, mosaic: Mosaic, path: Path, palette: np.ndarray, name: str
) -> MosaicLabels:
    """Labels a mosaic strip by strip into a GeoTIFF; memory does not grow with its height.

    Args:
        predictor: with windows.
        mosaic: is closed at the end.
        path: of the label map, uint8 class ids with the palette's colours.
        palette: uint8 (classes, 3) RGB.
        name: what an error calls the image.
    """
    height, width = mosaic.shape[:2]
    counts = np.zeros(len(palette), np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _create(path, mosaic.path, palette, compress=False) as file:
            for rows, columns, labels in predictor.strips(mosaic, name):
                counts += np.bincount(labels.ravel(), minlength=len(palette))
                file.write(labels.astype(np.uint8), 1, window=(rows, columns))
        with _open(path) as file:
            small = file.read(1, out_shape=preview_size(height, width)).astype(np.int32)
        preview = mosaic.reading.shown(mosaic.preview())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        mosaic.close()
    return MosaicLabels(path, height, width, counts, preview, small)


def has_georeference(path: Path) -> bool:
    """Whether a file is a TIFF that says where on Earth it lies, and rasterio can read it."""
    if path.suffix.lower() not in _SUFFIXES or not _has_rasterio():
        return False
    try:
        with _open(path) as file:
            return file.crs is not None or not file.transform.is_identity
    except FileError:
        return False


def save_geotiff(path: Path, labels: np.ndarray, palette: np.ndarray, like: Path) -> None:
    """Writes class ids as a GeoTIFF with the georeference of the file `like`."""
    with _create(path, like, palette) as file:
        file.write(labels.astype(np.uint8), 1)


def preview_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of a picture whose longest side is 2,048 at most."""
    step = max(1.0, max(height, width) / PREVIEW)
    return max(1, round(height / step)), max(1, round(width / step))


def _create(path: Path, like: Path, palette: np.ndarray, compress: bool = True) -> Any:
    import rasterio

    with _open(like) as source:
        profile = {
            "height": source.height,
            "width": source.width,
            "crs": source.crs,
            "transform": source.transform,
        }
    options = {"compress": "deflate"} if compress else {}
    file = rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="uint8", nodata=_NO_LABEL,
        blockysize=_ROWS, bigtiff="if_safer", **profile, **options,
    )  # fmt: skip
    file.write_colormap(1, {k: (*map(int, color), 255) for k, color in enumerate(palette)})
    return file


def _open(path: Path) -> Any:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path)
    except (RasterioError, OSError) as error:
        text = f"expected a readable TIFF image. Found: {error}"
        raise FileError("unreadable", path, text) from error


def _has_rasterio() -> bool:
    try:
        import rasterio  # noqa: F401
    except ImportError:
        return False
    return True


def _bounds(part: slice, length: int) -> tuple[int, int]:
    start, stop, _ = part.indices(length)
    return start, stop
