"""How predictions are made: scales, mirror image, windows; and the papers' ways by name.

Imports neither Keras nor TensorFlow: recipes and the command line take their choices from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from keras_ctxseg._naming import nearest

Size = tuple[int, int]

SIX_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
ProtocolName = Literal["whole_image", "deeplabv3", "encnet"]
Average = Literal["probabilities", "logits"]
Blend = Literal["uniform", "gaussian", "triangle"]
PROTOCOLS = get_args(ProtocolName)


@dataclass(frozen=True)
class Protocol:
    """How the network sees an image.

    Attributes:
        scales: factors on the image, one pass each; the predictions are averaged.
        flip: average with the mirror image's prediction at each scale (and of each window).
        average: what is averaged over scales, mirror images and windows: the classes'
            probabilities, or their logits.
        window: height and width of the windows that the image goes through the network in; None
            sends it whole.
        stride: from one window to the next; None is two thirds of the window. The last window of
            a row or column ends with the image, hence may overlap more.
        blend: how overlapping windows are weighed: all pixels alike, or less towards a window's
            edges, along a Gaussian of an eighth of the window or along a triangle.
        pad_to_window: fill an image that is smaller than the window up to it with the mean colour,
            as EncNet's code does; otherwise the window shrinks to the image.
        name: of the preset that this is, for reports.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    average: Average = "probabilities"
    window: Size | None = None
    stride: Size | None = None
    blend: Blend = "uniform"
    pad_to_window: bool = False
    name: str = "custom"

    def __post_init__(self):
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))
        if not self.scales or not all(0 < scale <= 8 for scale in self.scales):
            _refuse("scales", "one factor or more, each above 0 and at most 8", self.scales)
        for name in ("window", "stride"):
            object.__setattr__(self, name, _pair(getattr(self, name), name))
        for name, choices in (("average", get_args(Average)), ("blend", get_args(Blend))):
            value = getattr(self, name)
            if value not in choices:
                _refuse(name, f"one of {', '.join(choices)}", value, nearest(str(value), choices))
        if self.window is None:
            if self.stride is not None:
                _refuse("stride", "None where there is no `window`", self.stride)
            return
        if self.stride is None:
            object.__setattr__(self, "stride", tuple(-(-2 * side // 3) for side in self.window))
        if any(step > side for step, side in zip(self.stride, self.window, strict=True)):
            _refuse("stride", f"at most the window, {self.window}", self.stride)

    @property
    def is_one_pass(self) -> bool:
        """Whether there is one scale, the image's own, and no mirror image."""
        return self.scales == (1.0,) and not self.flip

    @property
    def is_plain(self) -> bool:
        """Whether the image goes through the network once, whole, at its own size."""
        return self.is_one_pass and self.window is None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, for a JSON file."""
        values = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}

    def describe(self) -> str:
        """One line for a reader."""
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        parts = [f"scale{'s' * (len(self.scales) > 1)} {scales}"]
        parts += ["mirror images"] * self.flip
        if self.window and self.stride:
            window, stride = ("x".join(map(str, pair)) for pair in (self.window, self.stride))
            parts.append(f"windows {window} every {stride}, blend {self.blend}")
        else:
            parts.append("whole images")
        if not self.is_plain:
            parts.append(f"mean of {self.average}")
        return "; ".join(parts)


# What recipes and the command line may set: every field but the name.
SETTINGS = tuple(field.name for field in fields(Protocol) if field.name != "name")


def named_protocol(name: str, crop_size: int | Sequence[int] | None = None) -> Protocol:
    """A published way to evaluate.

    - `whole_image`: once, at one scale, as SpineNet-Seg reports (arXiv 2103.12270) and as
      mmsegmentation's single-scale tables.
    - `deeplabv3`: whole images at scales 0.5 to 1.75 by 0.25, with mirror images
      (arXiv 1706.05587, section 4.1).
    - `encnet`: those scales and mirror images, in windows of the training crop that overlap by a
      third (arXiv 1803.08904); images smaller than a window are filled up. EncNet's code averages
      exp(logits of image + mirror image); here, probabilities.

    Args:
        name: one of the above.
        crop_size: height and width of the training crop, which `encnet` takes as its window.

    Raises:
        ValueError: no such protocol, or `encnet` without `crop_size`.
    """
    if name not in PROTOCOLS:
        _refuse("protocol", f"one of {', '.join(PROTOCOLS)}", name, nearest(name, PROTOCOLS))
    if name == "whole_image":
        return Protocol(name=name)
    if name == "deeplabv3":
        return Protocol(SIX_SCALES, flip=True, name=name)
    if crop_size is None:
        _refuse("crop_size", "the training crop, for the protocol encnet", crop_size)
    window = _pair(crop_size, "crop_size")
    return Protocol(SIX_SCALES, flip=True, window=window, pad_to_window=True, name=name)


def _pair(value, name: str) -> Size | None:
    if value is None:
        return None
    sides = (value, value) if isinstance(value, int) else tuple(value)
    if len(sides) != 2 or not all(isinstance(side, int) and side >= 1 for side in sides):
        _refuse(name, "height and width in pixels, at least 1", value)
    return sides


def _refuse(name: str, expected: str, value, hint: str = "") -> None:
    raise ValueError(f"`{name}`: expected {expected}. Received: {value!r}.{hint}")
