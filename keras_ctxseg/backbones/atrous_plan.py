"""How the layers of a strided network change where it has to keep an output stride.

Every tensor has a place: its nominal reduction, as in the network at output stride 32 and coarser,
and its rate, the factor by which it is finer than that. A layer whose stride would pass the output
stride gets stride 1 and multiplies the rate; everything with a window takes its taps as many pixels
apart as the rate of its input says. Weights never change, and on the pixels that two output strides
share, convolutions and pools compute the same.

Sizes: every level has `ceil(size / reduction)` pixels. Layers that would drop an incomplete last
window ("valid" with a window of the stride, or explicit padding made for even sizes) take
TensorFlow's "same" padding, which is the same at sizes that fit. What other "valid" layers cut off
is counted as `lost`, and the image is padded by as much.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import keras
from keras import layers

from keras_ctxseg.backbones.keras_graph import Call, KerasGraph, backbone_names
from keras_ctxseg.layers import AtrousConv2D, AtrousPooling2D, BatchNorm, LayerScale

Sides = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)
NOTHING: Sides = ((0, 0), (0, 0))

_POOLS = {layers.MaxPooling2D: "max", layers.AveragePooling2D: "average"}
_WINDOWS = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
)
_POOLED_AWAY = (layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)
# Layers that treat each pixel alone, or take statistics of all: dilation does not concern them.
_POINTWISE = (
    layers.Activation, layers.Add, layers.Average, layers.BatchNormalization, layers.Concatenate,
    layers.Dense, layers.Dropout, layers.ELU, layers.GaussianDropout, layers.GaussianNoise,
    layers.GroupNormalization, layers.Identity, layers.LayerNormalization, layers.LeakyReLU,
    layers.Maximum, layers.Minimum, layers.Multiply, layers.Normalization, layers.ReLU,
    layers.Rescaling, layers.RMSNormalization, layers.SpatialDropout2D, layers.Subtract,
    layers.UnitNormalization,
)  # fmt: skip
# By name, as Keras does not export them: layers of its ConvNeXt, and functions of `keras.ops`.
_POINTWISE_NAMES = {
    "LayerScale", "StochasticDepth", "Absolute", "Add", "Cast", "Clip", "Concatenate", "Divide",
    "Elu", "Exp", "Gelu", "HardSigmoid", "HardSilu", "HardTanh", "Maximum", "Minimum", "Multiply",
    "Negative", "Power", "Relu", "Relu6", "Sigmoid", "Silu", "Softplus", "Sqrt", "Square",
    "Subtract", "Tanh", "TrueDivide",
}  # fmt: skip

# What a depthwise convolution's configuration does not have, or calls otherwise.
_OF_GROUPS = ("filters", "groups", "kernel_initializer", "kernel_regularizer", "kernel_constraint")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the pixels of a tensor are.

    Attributes:
        reduction: Image pixels per pixel in the network as it is.
        rate: Pixels here per pixel there; the reduction here is `reduction / rate`.
        lost: Image pixels that windows inside the map have cut off, on each side.
    """

    reduction: int
    rate: int = 1
    lost: Sides = NOTHING


@dataclasses.dataclass(frozen=True)
class Step:
    """A call as it is made in the backbone.

    Attributes:
        call: The network's.
        name: Of the new operation; `""` where there is none and its input is passed on.
        kind: Class of the new operation.
        config: Its configuration.
    """

    call: Call
    name: str = ""
    kind: type | None = None
    config: dict[str, Any] = dataclasses.field(default_factory=dict)


class AtrousPlan:
    """Plans the calls of a network for an output stride.

    Args:
        graph: The network.
        calls: The part of it that is used, in order.
        image: Where the images come in: the input, or what its own preprocessing gives.
        output_stride: Reduction that no layer may pass.
        momentum: Of the moving averages of BatchNormalization.
        pointwise: Further classes of layers that treat each pixel alone.

    Attributes:
        steps: One a call.
        places: `{id of a tensor: Place}`, `None` for tensors without height and width.
    """

    def __init__(
        self,
        graph: KerasGraph,
        calls: Sequence[Call],
        image: keras.KerasTensor,
        output_stride: int,
        momentum: float,
        pointwise: Collection[type] = (),
    ):
        self.output_stride = output_stride
        self.momentum = momentum
        self.pointwise = tuple(pointwise)
        self.places: dict[int, Place | None] = {id(image): Place(1)}
        self._names = backbone_names(calls)
        self._readers = Counter(id(source) for call in calls for source in call.inputs)
        self._read_by = {id(source): call for call in calls for source in call.inputs}
        # Explicit padding that the next layer takes care of, by the id of the padded tensor.
        self._padding: dict[int, Call] = {}
        self.steps: list[Step] = []
        for call in calls:
            self._plan(call)

    def _plan(self, call: Call) -> None:
        operation = call.operation
        if getattr(operation, "data_format", "channels_last") == "channels_first":
            raise ValueError(f"`model` must be channels_last; its {call} is channels_first")
        place = self._common_place(call)
        if place is None or isinstance(operation, _POOLED_AWAY):
            after = None
            self._take(call)
        elif isinstance(operation, _WINDOWS):
            after = self._window(call, place)
        elif isinstance(operation, layers.ZeroPadding2D):
            after = self._zero_padding(call, place)
        elif isinstance(operation, layers.Cropping2D):
            cropping = _sides(operation.cropping, place.rate)
            self._take(call, cropping=cropping)
            after = _lose(place, operation.cropping)
        elif (sides := _padded_sides(operation)) is not None:
            pad_width = ((0, 0), *_sides(sides, place.rate), (0, 0))
            self._take(call, pad_width=pad_width)
            after = _lose(place, sides, -1)
        else:
            after = self._other(call, place)
        for output in call.outputs:
            self.places[id(output)] = after

    def _common_place(self, call: Call) -> Place | None:
        """The place of all inputs that have height and width."""
        places = {self.places[id(source)] for source in call.inputs} - {None}
        if len(places) > 1:
            raise ValueError(
                f"`model` has a {call} that joins maps of other resolutions or borders: "
                f"{sorted(map(str, places))}"
            )
        return places.pop() if places else None

    def _take(self, call: Call, kind: type | None = None, **changes) -> None:
        """Adds the call with an operation of the same configuration, but for some changes."""
        operation = call.operation
        config = operation.get_config()
        if isinstance(operation, keras.layers.Layer):
            # The policy of the process that builds the backbone, not of whoever made the network.
            config.pop("dtype", None)
        if isinstance(operation, layers.BatchNormalization):
            config["momentum"] = self.momentum
        kind = kind or _kind_here(operation, config)
        name = self._names[id(operation)]
        self._add(Step(call, name, kind, {**config, **changes, "name": name}))

    def _add(self, step: Step) -> None:
        for other in self.steps:
            shared = other.call.operation is step.call.operation
            if shared and (other.kind, other.config) != (step.kind, step.config):
                raise ValueError(
                    f"`model` shares a {step.call} between maps that need other atrous rates"
                )
        self.steps.append(step)

    def _pass_on(self, call: Call) -> None:
        self._add(Step(call))

    def _zero_padding(self, call: Call, place: Place) -> Place:
        output = call.outputs[0]
        reader = self._read_by.get(id(output))
        if (
            self._readers[id(output)] == 1
            and reader is not None
            and isinstance(reader.operation, _WINDOWS)
            and reader.operation.padding == "valid"
        ):
            self._padding[id(output)] = call
            return place
        self._pad(call, place)
        return _lose(place, call.operation.padding, -1)

    def _pad(self, call: Call, place: Place) -> None:
        self._take(call, padding=_sides(call.operation.padding, place.rate))

    def _window(self, call: Call, place: Place) -> Place:
        """Plans a convolution or a pool, and the explicit padding before it."""
        layer = call.operation
        size, strides, own_rate = _geometry(layer)
        if strides[0] != strides[1]:
            raise ValueError(f"`model` has a {call} with unequal strides, {strides}")
        stride = strides[0]
        reduction = place.reduction * stride
        dilates = stride > 1 and reduction > self.output_stride
        window = _Window(
            strides=1 if dilates else stride,
            rate=place.rate,
            own_rate=own_rate,
            padding=layer.padding,
        )
        padded = self._padding.get(id(call.inputs[0]))
        lost = place.lost
        if layer.padding == "valid":
            pads = NOTHING if padded is None else padded.operation.padding
            extents = [(taps - 1) * rate for taps, rate in zip(size, own_rate, strict=True)]
            short = [extent - sum(pad) for extent, pad in zip(extents, pads, strict=True)]
            pools = isinstance(layer, tuple(_POOLS))
            bare = not pools or padded is None
            centred = all(
                pad[0] == (extent - lack) // 2
                for pad, extent, lack in zip(pads, extents, short, strict=True)
            )
            # "same" padding has as many pixels as explicit padding of all a window needs, and
            # at sizes that fit as many as explicit padding made for these; zeros differ in pools.
            exact = not any(short) and (dilates or place.rate > 1)
            fits = stride > 1 and set(short) == {stride - 1}
            if centred and ((exact and (not pools or max(size) == 1)) or (fits and bare)):
                window = dataclasses.replace(window, padding="same")
            if window.padding == "valid" and any(short):
                ends = tuple(
                    (extent // 2 - pad[0], extent - extent // 2 - pad[1])
                    for extent, pad in zip(extents, pads, strict=True)
                )
                lost = _lose(place, ends).lost
        if padded is not None:
            if window.padding == "same":
                self._pass_on(padded)
            else:
                self._pad(padded, place)
        self._take_window(call, window, max(size) > 1)
        return Place(reduction, place.rate * (stride if dilates else 1), lost)

    def _take_window(self, call: Call, window: "_Window", spatial: bool) -> None:
        layer = call.operation
        changes: dict[str, Any] = {"strides": window.strides, "padding": window.padding}
        for kind, mode in _POOLS.items():
            if isinstance(layer, kind):
                self._take_pool(call, window, spatial, mode, changes)
                return
        rate = tuple(own * window.rate for own in window.own_rate) if spatial else (1, 1)
        changes["dilation_rate"] = rate
        if _is_depthwise(layer):
            config = layer.get_config()
            for key in _OF_GROUPS[2:]:
                changes[key.replace("kernel", "depthwise")] = config[key]
            self._take(call, layers.DepthwiseConv2D, **changes)
            for key in _OF_GROUPS:
                del self.steps[-1].config[key]
            return
        odd = all(taps % 2 for taps in layer.kernel_size)
        faster = type(layer) is layers.Conv2D and layer.groups == 1 and odd and max(rate) > 1
        self._take(call, AtrousConv2D if faster and window.padding == "same" else None, **changes)

    def _take_pool(self, call: Call, window: "_Window", spatial: bool, mode: str, changes) -> None:
        if not spatial and window.strides == 1:
            self._pass_on(call)
        elif window.rate == 1:
            self._take(call, **changes)
        else:
            layer = call.operation
            config = {
                "pool_size": layer.pool_size,
                "dilation": window.rate,
                "mode": mode,
                "padding": window.padding,
                # Beside another path, a window of the stride begins where that path's stride is;
                # alone, it makes up for the half pixel that the undilated one before it reads on.
                "extra_tap": "after" if self._readers[id(call.inputs[0])] > 1 else "before",
            }
            name = self._names[id(layer)]
            self._add(Step(call, name, AtrousPooling2D, {"name": name, **config}))

    def _other(self, call: Call, place: Place) -> Place | None:
        """Plans a layer that has no window that is known here."""
        operation = call.operation
        known = (*_POINTWISE, *self.pointwise)
        self._take(call)
        if isinstance(operation, known) or type(operation).__name__ in _POINTWISE_NAMES:
            return place
        if type(operation).__name__ == "Split" and operation.axis in (-1, 3):
            return place
        factors = self._reductions(call, place)
        if factors is None:
            return None
        if place.rate > 1 or factors != (place.reduction, place.reduction):
            if place.rate > 1 or factors[0] != factors[1] or max(factors) > self.output_stride:
                raise ValueError(
                    f"`output_stride` must be larger with this network: its {call} cannot be "
                    "dilated, unless it treats each pixel alone and `pointwise` names its class. "
                    f"Received: output_stride={self.output_stride}"
                )
            return dataclasses.replace(place, reduction=factors[0])
        return place

    def _reductions(self, call: Call, place: Place) -> tuple[int, int] | None:
        """What a layer's output is reduced by, tried on shapes; `None` without height and width."""
        found = set()
        for image in (256, 257):
            side = math.ceil(image / place.reduction)
            shape = self._output_shape(call, side)
            if len(shape) != 4 or shape[1:3] == (1, 1) or None in shape[1:3]:
                return None
            reductions = tuple(
                next((2**n for n in range(9) if math.ceil(image / 2**n) == length), 0)
                for length in shape[1:3]
            )
            if 0 in reductions:
                raise ValueError(
                    f"`model` has a {call} whose output has no size that can be used: "
                    f"{shape[1:3]} for images of {image} pixels a side"
                )
            found.add((reductions[0], reductions[1]))
        if len(found) != 1:
            raise ValueError(f"`model` has a {call} whose reduction depends on the image's size")
        return found.pop()

    def _output_shape(self, call: Call, side: int) -> tuple:
        def with_size(leaf):
            if not isinstance(leaf, keras.KerasTensor):
                return leaf
            spatial = self.places.get(id(leaf)) is not None
            size = (side, side) if spatial else leaf.shape[1:3]
            shape = (1, *size, *leaf.shape[3:]) if len(leaf.shape) == 4 else leaf.shape
            return keras.KerasTensor(shape, leaf.dtype)

        args, kwargs = keras.tree.map_structure(with_size, call.arguments)
        found = call.operation.compute_output_spec(*args, **kwargs)
        return tuple(keras.tree.flatten(found)[0].shape)


@dataclasses.dataclass(frozen=True)
class _Window:
    """How a convolution or a pool is applied here."""

    strides: int
    rate: int
    own_rate: tuple[int, int]
    padding: str


def _geometry(layer: Any) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Window, strides and own atrous rate of a convolution or a pool."""
    if isinstance(layer, (layers.MaxPooling2D, layers.AveragePooling2D)):
        return tuple(layer.pool_size), tuple(layer.strides), (1, 1)
    return tuple(layer.kernel_size), tuple(layer.strides), tuple(layer.dilation_rate)


def _is_depthwise(layer) -> bool:
    """Whether a grouped convolution has one filter a channel, which is slow as it is."""
    grouped = type(layer) is layers.Conv2D and layer.groups == layer.filters > 1
    return grouped and layer.kernel.shape[-2] == 1


def _kind_here(operation: Any, config: dict[str, Any]) -> type:
    """The class that takes an operation's place; its configuration is changed to fit."""
    if type(operation) is layers.BatchNormalization:
        usual = operation.center and operation.scale and operation.axis in (-1, 3)
        return BatchNorm if usual else type(operation)
    if type(operation).__module__.startswith("keras.") and "init_values" in config:
        config["init_value"] = config.pop("init_values")
        del config["projection_dim"]
        return LayerScale
    return type(operation)


def _padded_sides(operation: Any) -> Sides | None:
    """What `keras.ops.pad` adds to a map on each side, or `None` for other functions."""
    widths = [tuple(width) for width in getattr(operation, "pad_width", ())]
    if type(operation).__name__ != "Pad" or len(widths) != 4 or any(widths[0] + widths[3]):
        return None
    return widths[1], widths[2]


def _sides(sides, factor: int) -> Sides:
    (top, bottom), (left, right) = sides
    return ((top * factor, bottom * factor), (left * factor, right * factor))


def _lose(place: Place, sides, sign: int = 1) -> Place:
    """The place after so many pixels of the network's own map were cut off on each side."""
    here = _sides(sides, place.reduction * sign)
    (top, bottom), (left, right) = here
    (lost_top, lost_bottom), (lost_left, lost_right) = place.lost
    lost = ((lost_top + top, lost_bottom + bottom), (lost_left + left, lost_right + right))
    return dataclasses.replace(place, lost=lost)
