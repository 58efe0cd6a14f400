"""Networks of KerasHub as backbones, by name; with the extra `hub`."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_ctxseg.backbones.input_channels import carried_over
from keras_ctxseg.backbones.keras_backbone import KerasBackbone, pyramid_of

# ResNet-vd (arXiv 1812.01187), which keras.applications does not have: blocks of each stage.
_VD_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 12, 48, 3),
}


class PresetBackbone(KerasBackbone):
    """A network of KerasHub that states its feature pyramid; see `from_keras`.

    Args:
        output_stride: 8, 16 or 32.
        preset: Name of a preset, such as `"efficientnet_b0_ra_imagenet"` or
            `"csp_darknet_53_ra_imagenet"`, or a folder that `save_to_preset` wrote. Its
            architecture is fetched once and kept by KerasHub; its weights with
            `weights="imagenet"`.
        normalization: What the images are brought to, in place of what the preset says:
            `"imagenet"`, `"centred"`, `"caffe"` or `{"mean": ..., "std": ...}`.
        momentum: Of the moving averages of BatchNormalization.
    """

    def __init__(
        self,
        output_stride: int = 32,
        *,
        preset: str,
        normalization: str | Mapping | None = None,
        momentum: float = 0.9,
    ):
        self.preset = preset
        network = _from_preset(self.preset, load_weights=False)
        if normalization is None:
            normalization = _normalization_of(self.preset)
        self._set_up(network, output_stride, normalization, momentum)

    def _set_up(self, network, output_stride, normalization, momentum) -> None:
        super().__init__(
            network,
            pyramid_of(network),
            output_stride,
            normalization=normalization,
            momentum=momentum,
            copy_weights=False,
        )

    def load_imagenet(self, model: keras.Model) -> str:
        """Sets the backbone's weights in a model to the preset's."""
        network = _from_preset(self.preset, load_weights=True)
        loaded = KerasBackbone(network, pyramid_of(network), self.output_stride)
        lines = [f"{loaded.copy_to(model)} weights from KerasHub, {self.preset}"]
        return "\n".join(filter(None, [*lines, carried_over(model.inputs[0].shape[-1])]))


class ResNetVdBackbone(PresetBackbone):
    """ResNet-vd (arXiv 1812.01187) of KerasHub: a deep stem, shortcuts that pool.

    Args:
        depth: 18, 34, 50, 101, 152 or 200.
        output_stride: 8, 16 or 32.
        normalization: As in `PresetBackbone`; `"imagenet"` by default.
        momentum: Of the moving averages of BatchNormalization.
    """

    def __init__(
        self,
        depth: int,
        output_stride: int = 32,
        *,
        normalization: str | Mapping = "imagenet",
        momentum: float = 0.9,
    ):
        self.preset = f"resnet_vd_{depth}_imagenet"
        network = _keras_hub().models.ResNetBackbone(
            input_conv_filters=[32, 32, 64],
            input_conv_kernel_sizes=[3, 3, 3],
            stackwise_num_filters=[64, 128, 256, 512],
            stackwise_num_blocks=list(_VD_BLOCKS[depth]),
            stackwise_num_strides=[1, 2, 2, 2],
            block_type="basic_block_vd" if depth < 50 else "bottleneck_block_vd",
            name=f"resnet{depth}_vd",
        )
        self._set_up(network, output_stride, normalization, momentum)


def resnet_vd_of_depth(depth: int) -> Callable[..., ResNetVdBackbone]:
    """Makes the entry of the registry for one depth."""
    return functools.partial(ResNetVdBackbone, depth)


def _keras_hub() -> Any:
    try:
        import keras_hub
    except ImportError as error:
        raise ValueError("This backbone needs KerasHub: pip install 'keras_ctxseg[hub]'") from error
    return keras_hub


def _from_preset(preset: str, load_weights: bool) -> keras.Model:
    hub = _keras_hub()
    try:
        return hub.models.Backbone.from_preset(preset, load_weights=load_weights)
    except Exception as error:  # Its sources of presets raise nothing in common.
        raise ValueError(
            f"`preset`: KerasHub cannot load {preset!r}: {error}. Without a connection, give a "
            "folder that save_to_preset wrote"
        ) from error


def _normalization_of(preset: str) -> Mapping[str, list[float]]:
    """Mean and deviation by a preset's image converter: it gives `images * scale + offset`."""
    hub = _keras_hub()
    try:
        converter = hub.layers.ImageConverter.from_preset(preset)
    except Exception as error:  # As above.
        raise ValueError(
            f"`normalization` is needed: the preset {preset!r} has no image converter: {error}"
        ) from error
    scales = _three(1.0 if converter.scale is None else converter.scale)
    offsets = _three(0.0 if converter.offset is None else converter.offset)
    return {
        "mean": [-offset / scale for offset, scale in zip(offsets, scales, strict=True)],
        "std": [1.0 / scale for scale in scales],
    }


def _three(value) -> list[float]:
    values = [float(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
    return values * (3 // len(values))
