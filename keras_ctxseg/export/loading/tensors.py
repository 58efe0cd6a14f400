"""Which tensors of a file from anywhere are the image and the scores, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_ctxseg.export.errors import ExportError

# A range that ends below is that of an image which was divided by 255 or so.
_SMALL_RANGE = 64.0


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a file.

    Attributes:
        name: the signature's, or the tensor's own where there is none.
        shape: None where a size is open.
        dtype: NumPy's.
        scale, zero_point: real value = scale * (stored - zero point); scale 0 if not quantised.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype
    scale: float = 0.0
    zero_point: int = 0

    def __str__(self) -> str:
        sizes = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name!r} {self.dtype} ({sizes})"

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Real values as the tensor holds them."""
        if not self.scale:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.rint(values / self.scale) + self.zero_point
        return steps.clip(limits.min, limits.max).astype(self.dtype)

    def real(self, values: np.ndarray) -> np.ndarray:
        """What the tensor holds as real values; integers without a scale as they are."""
        if not self.scale:
            return values
        return np.float32(self.scale) * (values.astype(np.float32) - np.float32(self.zero_point))


class ImageInput:
    """The one input of a file: a batch of one image, its channels last or, if three, first.

    Args:
        inputs: of the file.
        path: for errors.
        normalisation: mean and standard deviation, one number or three each, if the file tells.

    Attributes:
        info: the tensor.
        channels_first: whether it is (1, 3, height, width).
        channels: of the image.
        size: height and width; None where either is open.
        is_guess: whether nothing tells how images are to be normalised.

    Raises:
        ExportError: there are more inputs, or one of another form.
    """

    def __init__(
        self,
        inputs: Sequence[TensorInfo],
        path: object,
        normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
    ):
        expected = "expected one input, an image (1, height, width, channels)"
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise ExportError(f"{path}: {expected}. Found: {_listed(inputs)}.")
        self.info = inputs[0]
        shape = self.info.shape
        self.channels_first = shape[3] != 3 and shape[1] == 3
        channels = 3 if self.channels_first else shape[3]
        if channels is None or shape[0] not in (None, 1):
            raise ExportError(f"{path}: {expected}. Found: {_listed(inputs)}.")
        if self.info.dtype.kind not in "fiu":
            raise ExportError(f"{path}: expected images of numbers. Found: {_listed(inputs)}.")
        height, width = shape[2:] if self.channels_first else shape[1:3]
        self.size = None if height is None or width is None else (height, width)
        self.channels = channels
        self._normalisation = normalisation
        self.is_guess = normalisation is None and self.info.dtype.kind == "f"

    def of(self, image: np.ndarray) -> np.ndarray:
        """The input for an image (height, width, channels).

        Normalised as the file says. If it says nothing, floats are 0..255; so are integers with a
        scale, unless they cannot reach 64: those take the bytes of the image as they are.
        """
        info = self.info
        if self._normalisation is not None:
            mean, deviation = (np.asarray(each, np.float32) for each in self._normalisation)
            values = info.stored((image.astype(np.float32) - mean) / deviation)
        elif info.scale and _largest(info) < _SMALL_RANGE:
            lowest = np.iinfo(info.dtype).min
            values = (image.astype(np.int32) + lowest).astype(info.dtype)
        else:
            values = info.stored(image.astype(np.float32))
        if self.channels_first:
            values = values.transpose(2, 0, 1)
        return np.ascontiguousarray(values[np.newaxis])


class ChosenOutput:
    """The output of a file that labels come from.

    `logits` or else `labels` by name; else the only one, or the largest, with a channel for each
    class or with ids.

    Args:
        outputs: of the file.
        path: for errors.
        channels_first: whether the image has its channels first, and the scores with it.

    Attributes:
        index: among `outputs`.
        info: the tensor.
        kind: `"logits"` or `"labels"`.

    Raises:
        ExportError: none fits, or several do equally.
    """

    def __init__(self, outputs: Sequence[TensorInfo], path: object, channels_first: bool):
        self._channels_first = channels_first
        fitting = [k for k, info in enumerate(outputs) if self._kind(info)]
        for name in ("logits", "labels"):
            fitting = [k for k in fitting if outputs[k].name == name] or fitting
        if len(fitting) > 1:
            sizes = [self._pixels(outputs[k]) for k in fitting]
            fitting = [k for k, size in zip(fitting, sizes, strict=True) if size == max(sizes)]
        if len(fitting) != 1:
            raise ExportError(
                f"{path}: expected one output 'logits' or 'labels', or one alone that is a map of"
                " scores (1, height, width, classes) or of class ids (1, height, width)."
                f" Found: {_listed(outputs)}."
            )
        self.index = fitting[0]
        self.info = outputs[self.index]
        self.kind = str(self._kind(self.info))

    @property
    def classes(self) -> int | None:
        """The number of classes, if the output tells."""
        return self.info.shape[self._axis] if self.kind == "logits" else None

    def of(self, result: np.ndarray) -> np.ndarray:
        """Logits float32 (height, width, classes), or ids (height, width), of what came out."""
        if self.kind == "labels":
            return result.reshape(result.shape[1:3] if result.shape[-1] == 1 else result.shape[-2:])
        logits = self.info.real(result[0]).astype(np.float32)
        return logits.transpose(1, 2, 0) if self._channels_first else logits

    @property
    def _axis(self) -> int:
        return 1 if self._channels_first else 3

    def _kind(self, info: TensorInfo) -> str | None:
        integers = info.dtype.kind in "iu" and not info.scale
        if len(info.shape) == 3:
            return "labels" if integers else None
        if len(info.shape) != 4 or info.dtype.kind not in "fiu":
            return None
        if info.shape[self._axis] == 1:
            return "labels" if integers else None
        return "logits"

    def _pixels(self, info: TensorInfo) -> float:
        """Of a map; an open size is the image's, the largest there is."""
        shape = info.shape
        sides = shape[1:3] if len(shape) == 3 or not self._channels_first else shape[2:]
        product = 1.0
        for side in sides:
            product *= float("inf") if side is None else side
        return product


def _largest(info: TensorInfo) -> float:
    return info.scale * (np.iinfo(info.dtype).max - info.zero_point)


def _listed(tensors: Sequence[TensorInfo]) -> str:
    return ", ".join(map(str, tensors)) or "none"
