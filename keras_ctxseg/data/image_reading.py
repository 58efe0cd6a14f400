"""How the stored values of image files become what a network sees: options, checked and applied."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from keras_ctxseg._naming import nearest

MAX_PIXELS = 2**28
EXIF_CHOICES = ("upright", "keep")
Exif = Literal["upright", "keep"]
Range = tuple[tuple[float, float], ...]

_PERCENTILES = (0.5, 99.5)
_PIXELS_PER_IMAGE = 40_000


class ReadingError(ValueError):
    """Values that the options do not fit; the message says what was expected and found."""


@dataclasses.dataclass(frozen=True)
class ImageReading:
    """Options of reading images.

    Attributes:
        exif: `"upright"` turns images as their EXIF orientation asks; `"keep"` leaves pixels as
            they are stored.
        bands: numbers of the bands that are read, from 1, in the network's order. None reads
            colours as RGB, grey as RGB of three equal channels, and all bands of other images.
        range: stored values that become 0 and 255, a pair for all bands or one for each; `"auto"`
            is replaced by percentiles of the data set's images. None takes the whole range of 8
            and 16 bits, and refuses others.
        show: numbers of the three channels that pictures show as red, green and blue, from 1.
        max_pixels: images of more are refused.
        channels: how many the images have; None where that is not known yet.
    """

    exif: Exif = "upright"
    bands: tuple[int, ...] | None = None
    range: Range | Literal["auto"] | None = None
    show: tuple[int, int, int] | None = None
    max_pixels: int = MAX_PIXELS
    channels: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], where: str = "images") -> "ImageReading":
        """Checks options as a class file, a recipe or a caller gives them; None is not given.

        Raises:
            ReadingError: an unknown option or a value that does not fit, by name.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in options:
            if name not in known:
                raise ReadingError(
                    f"`{where}.{name}`: expected one of {', '.join(known)}."
                    f"{nearest(str(name), known)}"
                )
        given = {name: value for name, value in options.items() if value is not None}

        def require(name: str, fits: bool, expected: str) -> None:
            if name in given and not fits:
                raise ReadingError(
                    f"`{where}.{name}`: expected {expected}. Received: {given[name]!r}"
                )

        exif, bands, show = given.get("exif"), given.get("bands"), given.get("show")
        require("exif", exif in EXIF_CHOICES, f"one of {', '.join(EXIF_CHOICES)}")
        require("bands", _are_numbers(bands), "a list of band numbers, from 1")
        three = _are_numbers(show) and len(show or ()) == 3
        require("show", three, "three channel numbers, from 1")
        for name in ("max_pixels", "channels"):
            require(name, _is_whole(given.get(name)), "a whole number above 0")
        if isinstance(bands, Sequence):
            given["bands"] = tuple(bands)
        if isinstance(show, Sequence):
            given["show"] = tuple(show)
        if "range" in given and given["range"] != "auto":
            pairs = _pairs(given["range"])
            require(
                "range",
                pairs is not None,
                "'auto', [low, high] with low below high, or a list of such pairs, one for each "
                "band",
            )
            given["range"] = pairs
        return cls(**given)

    def changed(self, options: Mapping[str, Any], where: str = "images") -> "ImageReading":
        """These options, with others on top where they are given."""
        given = {name: value for name, value in options.items() if value is not None}
        return dataclasses.replace(self, **_only(ImageReading.of(given, where), given))

    def as_dict(self) -> dict[str, Any]:
        """What differs from the defaults, for JSON and YAML."""
        default = ImageReading()
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != getattr(default, field.name)
        }
        return json.loads(json.dumps(values))

    @property
    def key(self) -> str:
        """A text that differs where pixels may differ."""
        return json.dumps([self.exif, self.bands, self.range])

    @property
    def is_plain(self) -> bool:
        """Whether values become pixels as TensorFlow's decoders have them."""
        return self.bands is None and self.range is None

    def chosen(self, values: np.ndarray, has_alpha: bool = False) -> np.ndarray:
        """The bands that are read, as stored.

        Args:
            values: `(height, width, bands)`.
            has_alpha: whether the last band is transparency.

        Raises:
            ReadingError: a band that the image lacks.
        """
        count = values.shape[-1]
        if self.bands is None:
            return values[..., : count - 1] if has_alpha and count > 1 else values
        if max(self.bands) > count:
            raise ReadingError(
                f"expected the bands {', '.join(map(str, self.bands))}. Found: {count} bands"
            )
        return values[..., [band - 1 for band in self.bands]]

    def pixels(self, values: np.ndarray, has_alpha: bool = False) -> np.ndarray:
        """Stored values as uint8 `(height, width, channels)`.

        Args:
            values: `(height, width, bands)`.
            has_alpha: whether the last band is transparency.

        Raises:
            ReadingError: bands or values that the options do not fit.
        """
        values = self._scaled(self.chosen(values, has_alpha))
        if self.bands is None and values.shape[-1] == 1 and self.channels != 1:
            values = np.repeat(values, 3, axis=-1)
        if self.channels not in (None, values.shape[-1]):
            raise ReadingError(
                f"expected {self.channels} channels, as the others have. Found: {values.shape[-1]}"
            )
        return np.ascontiguousarray(values)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.range is None:
            if values.dtype == np.uint8:
                return values
            if values.dtype == bool:
                return values.astype(np.uint8) * np.uint8(255)
            if values.dtype == np.uint16:
                return (values >> 8).astype(np.uint8)
            low, high = span(values)
            raise ReadingError(
                "expected values of 8 or 16 bits without sign, or the option `range`: "
                f"[low, high] or auto. Found: {values.dtype}, {low:g} ... {high:g}"
            )
        if self.range == "auto":
            raise ReadingError("`range`: 'auto' needs a data set to measure. Expected [low, high]")
        if len(self.range) not in (1, values.shape[-1]):
            raise ReadingError(
                f"`range` has {len(self.range)} pairs, one for each band. "
                f"Found: {values.shape[-1]} bands"
            )
        low, high = np.array(self.range, np.float32).T
        levels = (values.astype(np.float32) - low) * (255 / (high - low))
        return np.clip(np.round(np.nan_to_num(levels)), 0, 255).astype(np.uint8)

    def shown(self, image: np.ndarray) -> np.ndarray:
        """Three channels of an image, as pictures show them: `(height, width, 3)`."""
        return rgb_of(image, self.show)


PLAIN = ImageReading()


def rgb_of(image: np.ndarray, show: tuple[int, int, int] | None = None) -> np.ndarray:
    """Three channels of an image `(height, width, channels)`; its first three by default.

    One or two channels show as grey, by the first.

    Raises:
        ValueError: a channel that the image lacks.
    """
    count = image.shape[-1]
    if show is not None:
        if max(show) > count:
            raise ValueError(f"`show`: expected channels of 1 ... {count}. Received: {show}")
        return image[..., [number - 1 for number in show]]
    return image[..., :3] if count >= 3 else np.repeat(image[..., :1], 3, axis=-1)


def span(values: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest finite value."""
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def percentile_range(images: Sequence[np.ndarray]) -> Range:
    """For each band the values between which 99 % of the pixels lie.

    Args:
        images: stored values `(height, width, bands)`, all of as many bands.

    Raises:
        ReadingError: images of different numbers of bands, or none.
    """
    if len({image.shape[-1] for image in images}) != 1:
        counts = sorted({image.shape[-1] for image in images})
        raise ReadingError(f"`range`: 'auto' needs images of one number of bands. Found: {counts}")
    parts = [image.reshape(-1, image.shape[-1]) for image in images]
    parts = [part[:: max(1, len(part) // _PIXELS_PER_IMAGE)] for part in parts]
    pixels = np.concatenate(parts).astype(np.float64)
    pixels[~np.isfinite(pixels)] = np.nan
    pixels = pixels[~np.isnan(pixels).any(axis=1)]
    if not len(pixels):
        raise ReadingError("`range`: 'auto' needs finite values. Found: none")
    ends = np.percentile(pixels, _PERCENTILES, axis=0).T
    # Few digits, as people read and edit them.
    rounded = [[float(f"{value:.5g}") for value in pair] for pair in ends]
    return tuple((low, max(high, low + 1e-6)) for low, high in rounded)


def _only(reading: ImageReading, names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(reading, name) for name in names}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_whole, value))


def _pairs(value: Any) -> Range | None:
    if not isinstance(value, list | tuple) or not value:
        return None
    pairs = value if all(isinstance(pair, list | tuple) for pair in value) else [value]
    for pair in pairs:
        numbers = [one for one in pair if type(one) in (int, float)]
        if len(pair) != 2 or len(numbers) != 2 or not np.isfinite(pair).all() or pair[0] >= pair[1]:
            return None
    return tuple((float(low), float(high)) for low, high in pairs)
