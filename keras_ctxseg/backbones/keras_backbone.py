"""Any Keras network as a backbone."""

import functools
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import keras
import numpy as np

from keras_ctxseg.backbones.atrous_plan import AtrousPlan, Place, Step
from keras_ctxseg.backbones.backbone import Backbone
from keras_ctxseg.backbones.input_channels import spread_over_channels
from keras_ctxseg.backbones.keras_graph import PREFIX, Call, KerasGraph, rebuilt

Tap: TypeAlias = "str | keras.Layer | keras.KerasTensor"
Taps: TypeAlias = "Iterable[Tap] | Mapping[int, Tap]"


def from_keras(
    model: keras.Model,
    taps: "Taps | None" = None,
    output_stride: int = 32,
    *,
    normalization: str | Mapping | None = None,
    momentum: float = 0.9,
    pointwise: Collection[type] = (),
    bgr: bool = False,
) -> "KerasBackbone":
    """Makes a backbone of a functional or sequential Keras network.

    Each use of the backbone makes the network's layers anew, named `backbone_<their name>`, with
    the network's weights as initial values. At output stride 32 it computes what the network does;
    at 16 and 8 strides beyond become atrous rates, with the same weights.

    - *Input*: preprocessing layers at the network's beginning (`Rescaling`, `Normalization`) become
      the model's own first layer. A network without them gets RGB in 0...255, unless
      `normalization` says what it was trained on.
    - *Sizes*: any, each level with `ceil(size / reduction)` pixels. Windows that do not fit are
      padded where the network would drop them; for convolutions that are "valid" otherwise, the
      image is padded by as much as they cut off.
    - *Limits*: one input, channels last, strides that are powers of two. Layers that move pixels
      otherwise (transposed convolutions, attention with positions) work undilated only. Networks
      with squeeze-and-excitation agree across output strides up to the gates, which average over
      maps of other sizes.

    Args:
        model: The network; `include_top=False`, or with a top that no tap needs.
        taps: The layers whose outputs are the features, from fine to coarse, by name, as layers or
            as tensors; or `{level: layer}`. One a level at most. By default the
            `pyramid_outputs` of a KerasHub network.
        output_stride: 8, 16 or 32.
        normalization: What the network's images are brought to, in place of its own preprocessing:
            `"imagenet"`, `"centred"`, `"caffe"` or `{"mean": ..., "std": ...}` on the 0...255
            scale.
        momentum: Of the moving averages of BatchNormalization; 0.99 to 0.999, as most networks
            have it, lags in short runs.
        pointwise: Classes of the network's own layers that treat each pixel alone, and so need no
            dilation.
        bgr: Whether the network takes BGR. Images stay RGB: the first convolution's kernel is
            turned round.

    Returns:
        The backbone, for `register_backbone`, or for a family's function.

    Raises:
        ValueError: If the network cannot be a backbone, naming the layer.

    Examples:
        >>> network = keras.applications.VGG16(include_top=False, weights=None)
        >>> taps = ["block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3", "block5_pool"]
        >>> vgg = functools.partial(from_keras, network, taps, normalization="caffe", bgr=True)
        >>> register_backbone("vgg16", vgg)
        >>> model = build("deeplabv3plus_vgg16", 21)
    """
    return KerasBackbone(
        model,
        pyramid_of(model) if taps is None else taps,
        output_stride,
        normalization=normalization,
        momentum=momentum,
        pointwise=pointwise,
        bgr=bgr,
    )


def pyramid_of(network: keras.Model) -> list[keras.KerasTensor]:
    """Returns the feature maps that a network of KerasHub states, from fine to coarse.

    Raises:
        ValueError: If it does not.
    """
    pyramid = getattr(network, "pyramid_outputs", None)
    if not pyramid:
        raise ValueError(f"`taps` is needed: {network.name!r} does not name its own features")
    # Its keys, P2, P3, ..., number the stages, which is not always their level.
    return [pyramid[name] for name in sorted(pyramid)]


class KerasBackbone(Backbone):
    """A Keras network as a backbone; see `from_keras`.

    Args:
        copy_weights: Whether new layers take the network's weights.

    """

    def __init__(
        self,
        model: keras.Model,
        taps: "Taps",
        output_stride: int = 32,
        *,
        normalization: str | Mapping | None = None,
        momentum: float = 0.9,
        pointwise: Collection[type] = (),
        bgr: bool = False,
        copy_weights: bool = True,
    ):
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum}")
        self.name = model.name
        self.copy_weights = copy_weights
        self.bgr = bgr
        graph = KerasGraph(model)
        tensors = [graph.tensor(tap) for tap in _listed(taps)]
        calls = graph.calls_for(tensors)
        self._image, self.mean, self.std, used = _without_preprocessing(graph.image, calls)
        plan = AtrousPlan(graph, used, self._image, output_stride, momentum, pointwise)
        self._taps = _by_level(graph, tensors, plan, taps)
        self._border = _border(place for _, place in self._taps.values())
        channels = {level: tensor.shape[-1] for level, (tensor, _) in self._taps.items()}
        super().__init__(output_stride, channels, normalization, padding="same")
        self._segments = _segments(graph, plan.steps, self._taps)
        self.no_stages = self._why_no_stages()
        if self.no_stages:
            self.stages = {}
        else:
            self.stages = {
                level: functools.partial(self._run_stage, level=level)
                for level in self._taps
                if level > 1
            }

    def stem(self, x):
        """Takes normalised images to the level-1 feature map; without one, gives them back."""
        return self._run_stage(x, 1) if 1 in self._taps and not self.no_stages else x

    def __call__(self, images) -> dict:
        """Takes images `(batch, height, width, channels)` to `{level: feature map}`."""
        x = self.normalize(images)
        found: dict = _Features(self.name)
        if not self.no_stages:
            for level in self._taps:
                x = found[level] = self.stem(x) if level == 1 else self.stages[level](x)
            return found
        values = {id(self._image): self._padded(x)}
        self._run([step for segment in self._segments.values() for step in segment], values)
        for level, (tensor, place) in self._taps.items():
            found[level] = self._cropped(values[id(tensor)], level, place)
        return found

    def copy_to(self, model: keras.Model) -> int:
        """Sets the backbone's weights in a model that was built on one like this.

        Returns:
            How many weights.
        """
        count = 0
        for step in self._steps_with_weights():
            layer = model.get_layer(step.name)
            self._copy(step, layer)
            count += len(layer.weights)
        return count

    def _steps_with_weights(self) -> list[Step]:
        steps = [step for segment in self._segments.values() for step in segment]
        return [step for step in steps if _has_weights(step)]

    def _run_stage(self, x, level: int):
        first = level == min(self._taps)
        before = None if first else max(finer for finer in self._taps if finer < level)
        source = self._image if before is None else self._taps[before][0]
        values = {id(source): self._padded(x) if first else x}
        self._run(self._segments[level], values)
        return values[id(self._taps[level][0])]

    def _run(self, steps: Sequence[Step], values: dict) -> None:
        """Makes the steps' layers and calls them; `values` holds tensors by id of the network's."""
        made: dict[int, keras.Operation] = {}
        for step in steps:
            operation = step.call.operation
            if step.kind is None:
                values[id(step.call.outputs[0])] = values[id(step.call.inputs[0])]
                continue
            new = made.get(id(operation))
            if new is None:
                new = made[id(operation)] = rebuilt(operation, step.kind, step.config)
            args, kwargs = keras.tree.map_structure(
                lambda leaf: values[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf,
                step.call.arguments,
            )
            outputs = keras.tree.flatten(new(*args, **kwargs))
            if self.copy_weights and _has_weights(step):
                self._copy(step, new)
            for ours, theirs in zip(outputs, step.call.outputs, strict=True):
                values[id(theirs)] = ours

    def _copy(self, step: Step, new) -> None:
        """Sets the weights of a new layer from the network's."""
        layer: keras.Layer = step.call.operation
        first = step.call.inputs[0] is self._image
        for target, source in zip(new.weights, layer.weights, strict=True):
            if tuple(target.shape) == tuple(source.shape) and not (first and self.bgr):
                target.assign(source)
                continue
            value = np.array(source)
            if isinstance(new, keras.layers.DepthwiseConv2D) and len(value.shape) == 4:
                # One filter a channel: (height, width, 1, channels) in a grouped convolution.
                value = value.reshape(target.shape)
            elif first and len(value.shape) == 4:
                value = value[:, :, ::-1] if self.bgr else value
                if value.shape[2] != target.shape[2]:
                    value = spread_over_channels(value, target.shape[2])
            if value.shape != tuple(target.shape):
                raise ValueError(
                    f"{self.name!r}: the weights {source.path} of shape {value.shape} do not fit "
                    f"{target.path}, {tuple(target.shape)}"
                )
            target.assign(value)
        if hasattr(new, "finalize_state"):
            new.finalize_state()

    def _padded(self, x):
        if not any(map(any, self._border)):
            return x
        return keras.layers.ZeroPadding2D(self._border, name=f"{PREFIX}border")(x)

    def _cropped(self, x, level: int, place: Place):
        crop = _crop(self._border, place)
        if not any(map(any, crop)):
            return x
        return keras.layers.Cropping2D(crop, name=f"{PREFIX}level{level}_crop")(x)

    def _why_no_stages(self) -> str:
        """What keeps the network from being run stage by stage, or `""`."""
        made_in: dict[int, int] = {id(self._image): 0}
        layers: dict[int, int] = {}
        before = 0
        for level, segment in self._segments.items():
            passed = id(self._taps[before][0] if before else self._image)
            for step in segment:
                for source in step.call.inputs:
                    if made_in[id(source)] != level and id(source) != passed:
                        return f"{step.call} of level {level} reads more than level {before}"
                if layers.setdefault(id(step.call.operation), level) != level:
                    return f"{step.call} is shared between levels"
                made_in.update(dict.fromkeys(map(id, step.call.outputs), level))
            before = level
        for level, (_, place) in self._taps.items():
            if any(map(any, _crop(self._border, place))):
                return f"level {level} has pixels that the levels after it cut off"
        return ""


class _Features(dict):
    """Feature maps by level, which says so where there is none."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name

    def __missing__(self, level):
        raise ValueError(
            f"The backbone {self.name!r} has no features at level {level}, which this family "
            f"needs; its taps are at levels {list(self)}"
        )


def _listed(taps: Taps) -> list[Tap]:
    found = list(taps.values() if isinstance(taps, Mapping) else taps)
    if isinstance(taps, str) or not found:
        raise ValueError(
            f"`taps` must be a list of layers, or {{level: layer}}. Received: {taps!r}"
        )
    return found


def _by_level(
    graph: KerasGraph, tensors: Sequence[keras.KerasTensor], plan: AtrousPlan, taps: Taps
) -> dict[int, tuple[keras.KerasTensor, Place]]:
    """The tapped tensors and their places, by level, from fine to coarse."""
    found: dict[int, tuple[keras.KerasTensor, Place]] = {}
    for tap, tensor in zip(_listed(taps), tensors, strict=True):
        place = plan.places.get(id(tensor))
        level = 0 if place is None else math.log2(place.reduction)
        if place is None or level < 1 or level % 1:
            raise ValueError(
                f"`taps` must be feature maps whose reduction is 2, 4, 8, ... {_name(tap)!r} of "
                f"{graph.name!r} has {'no' if place is None else place.reduction}"
            )
        if int(level) in found:
            raise ValueError(
                f"`taps` must have one feature map a level; {_name(tap)!r} of {graph.name!r} is "
                f"the second at level {int(level)}"
            )
        found[int(level)] = (tensor, place)
    if isinstance(taps, Mapping):
        for level, tensor in zip(taps, tensors, strict=True):
            if level not in found or found[level][0] is not tensor:
                actual = next(key for key, value in found.items() if value[0] is tensor)
                raise ValueError(
                    f"`taps` puts {_name(taps[level])!r} of {graph.name!r} at level {level}; its "
                    f"reduction is {2**actual}, so its level is {actual}"
                )
    return dict(sorted(found.items()))


def _name(tap: Tap) -> str:
    return tap if isinstance(tap, str) else tap.name


def _segments(
    graph: KerasGraph, steps: Sequence[Step], taps: Mapping[int, tuple[keras.KerasTensor, Place]]
) -> dict[int, list[Step]]:
    """The steps by the first level that needs them."""
    segments: dict[int, list[Step]] = {}
    taken: set[int] = set()
    by_output = {id(step.call.outputs[0]): step for step in steps}
    for level, (tensor, _) in taps.items():
        needed = {id(call.outputs[0]) for call in graph.calls_for([tensor])} - taken
        segments[level] = [step for key, step in by_output.items() if key in needed]
        taken |= needed
    return segments


def _border(places: Iterable[Place]):
    """How much an image is padded on each side, so that no tap lacks pixels."""
    lost = [place.lost for place in places]
    return tuple(
        tuple(max(0, *(sides[axis][end] for sides in lost)) for end in (0, 1)) for axis in (0, 1)
    )


def _crop(border, place: Place):
    """What a feature map has too much, on each side."""
    reduction = place.reduction // place.rate
    crop = []
    for sides, lost in zip(border, place.lost, strict=True):
        extra = [here - there for here, there in zip(sides, lost, strict=True)]
        if any(pixels % reduction for pixels in extra):
            raise ValueError(
                f"`taps`: the borders that the network cuts off, {place.lost}, are no whole pixels "
                f"at reduction {reduction}"
            )
        crop.append(tuple(pixels // reduction for pixels in extra))
    return tuple(crop)


def _has_weights(step: Step) -> bool:
    return step.kind is not None and bool(getattr(step.call.operation, "weights", ()))


def _without_preprocessing(image: keras.KerasTensor, calls: Sequence[Call]):
    """Takes rescaling and normalisation off the beginning of a network.

    Returns:
        The tensor that they give, the mean and deviation that they come to, and the other calls.
    """
    channels = image.shape[-1]
    mean, std = np.zeros(channels), np.ones(channels)
    calls = list(calls)
    while True:
        readers = [call for call in calls if any(source is image for source in call.inputs)]
        affine = _affine(readers[0].operation, channels) if len(readers) == 1 else None
        if affine is None:
            return image, tuple(mean.tolist()), tuple(std.tolist()), calls
        # (x - mean) / std, and of that (... - shift) / scale.
        shift, scale = affine
        mean, std = mean + std * shift, std * scale
        image = readers[0].outputs[0]
        calls.remove(readers[0])


def _affine(layer, channels: int) -> tuple[np.ndarray, np.ndarray] | None:
    """`(shift, scale)` of a layer that computes `(x - shift) / scale`, else `None`."""
    if type(layer) is keras.layers.Rescaling:
        scale = 1.0 / np.broadcast_to(np.asarray(layer.scale, "float64"), channels)
        return -np.asarray(layer.offset, "float64") * scale, scale
    if type(layer) is keras.layers.Normalization and not layer.invert:
        mean, variance = (
            np.array(value, "float64").ravel() for value in (layer.mean, layer.variance)
        )
        if mean.size in (1, channels):
            std = np.maximum(np.sqrt(variance), keras.config.epsilon())
            return np.broadcast_to(mean, channels), np.broadcast_to(std, channels)
    return None
