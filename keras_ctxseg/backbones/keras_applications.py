"""Networks of keras.applications as backbones, by name."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Mapping

import keras

from keras_ctxseg._untrusted import check_keras_file
from keras_ctxseg.backbones.input_channels import carried_over
from keras_ctxseg.backbones.keras_backbone import KerasBackbone, Tap


@dataclasses.dataclass(frozen=True)
class Application:
    """A network of keras.applications.

    Attributes:
        make: Name of the function in `keras.applications`.
        taps: The layers whose outputs are the features; `"before x"` is what the layer x reads
            first, `""` what the network puts out.
        normalization: What its images are brought to; `None` where its own first layers do that.
    """

    make: str
    taps: tuple[str, ...]
    normalization: str | None = None


# The last convolution, to 1280 channels, serves classification only, as in MobileNetV2.
_EFFICIENTNET_TAPS = (
    *(f"before block{block}a_expand_conv" for block in (2, 3, 4, 6)),
    "before top_conv",
)


def _resnet_v2(depth: int, *blocks: int) -> Application:
    # The last block of a stage strides; the one before it has the stage's own resolution.
    stages = (f"conv{level}_block{count - 1}_out" for level, count in enumerate(blocks, start=2))
    return Application(f"ResNet{depth}V2", ("conv1_conv", *stages, "post_relu"), "centred")


def _densenet(depth: int) -> Application:
    stages = ("conv1_relu", "pool2_relu", "pool3_relu", "pool4_relu", "relu")
    return Application(f"DenseNet{depth}", stages, "imagenet")


def _convnext(size: str) -> Application:
    stages = (f"before convnext_{size.lower()}_downsampling_layernorm_{n}" for n in range(3))
    return Application(f"ConvNeXt{size}", (*stages, ""))


APPLICATIONS: dict[str, Application] = {
    **{f"convnext_{size.lower()}": _convnext(size) for size in ("Tiny", "Small", "Base", "Large")},
    "convnext_xlarge": _convnext("XLarge"),
    **{f"densenet{depth}": _densenet(depth) for depth in (121, 169, 201)},
    **{
        f"efficientnetv2_{size}": Application(f"EfficientNetV2{size.upper()}", _EFFICIENTNET_TAPS)
        for size in ("b0", "b1", "b2", "b3", "s", "m", "l")
    },
    "mobilenet_v3_large": Application(
        "MobileNetV3Large",
        (
            "expanded_conv_add",
            "expanded_conv_2_add",
            "expanded_conv_5_add",
            "expanded_conv_11_add",
            "",
        ),
    ),
    "mobilenet_v3_small": Application(
        "MobileNetV3Small",
        (
            "before expanded_conv_depthwise_pad",
            "expanded_conv_project_bn",
            "expanded_conv_2_add",
            "expanded_conv_7_add",
            "",
        ),
    ),
    "resnet50_v2": _resnet_v2(50, 3, 4, 6),
    "resnet101_v2": _resnet_v2(101, 3, 4, 23),
    "resnet152_v2": _resnet_v2(152, 3, 8, 36),
    "xception": Application(
        "Xception",
        (
            "block1_conv2_act",
            "before block3_sepconv1_act",
            "before block4_sepconv1_act",
            "before block13_sepconv1_act",
            "",
        ),
        "centred",
    ),
}


def application_backbone(name: str) -> Callable[..., "ApplicationBackbone"]:
    """Makes the entry of the registry for one network."""
    kind = MobileNetV3Backbone if name.startswith("mobilenet_v3") else ApplicationBackbone
    return functools.partial(kind, name)


class ApplicationBackbone(KerasBackbone):
    """A network of keras.applications, with its own normalisation; see `from_keras`.

    Args:
        network: A key of `APPLICATIONS`.
        output_stride: 8, 16 or 32.
        normalization: What the images are brought to, in place of the network's own:
            `"imagenet"`, `"centred"`, `"caffe"` or `{"mean": ..., "std": ...}`.
        momentum: Of the moving averages of BatchNormalization.
    """

    def __init__(
        self,
        network: str,
        output_stride: int = 32,
        *,
        normalization: str | Mapping | None = None,
        momentum: float = 0.9,
    ):
        self._set_up(network, output_stride, normalization, momentum)

    def _set_up(self, network, output_stride, normalization, momentum, **options) -> None:
        self.network = network
        self.application = APPLICATIONS[network]
        self._options = options
        model = self._make()
        super().__init__(
            model,
            self._tensors(model),
            output_stride,
            normalization=normalization or self.application.normalization,
            momentum=momentum,
            copy_weights=False,
        )

    def load_imagenet(self, model: keras.Model) -> str:
        """Sets the backbone's weights in a model to those of keras.applications, fetched once."""
        return self._load(
            model,
            "imagenet",
            "; without a connection, fetch the file elsewhere and give "
            "weights='keras-applications:FILE'",
        )

    def load_file(self, model: keras.Model, path: str | os.PathLike) -> str:
        """Sets the backbone's weights in a model from a file of keras.applications.

        Args:
            model: Built on a backbone like this one.
            path: The published `..._notop.h5`, or what `save_weights` of the network without its
                top wrote.
        """
        if not os.path.isfile(path):
            raise ValueError(f"`weights` names a file that does not exist: {os.fspath(path)!r}")
        check_keras_file(path)
        return self._load(model, os.fspath(path), "; it must be one without the top")

    def _load(self, model: keras.Model, weights: str, advice: str) -> str:
        make = f"keras.applications.{self.application.make}"
        try:
            network = self._make(weights)
        except Exception as error:  # Keras' download raises nothing more specific
            raise ValueError(
                f"`weights`: {weights!r} cannot be loaded into {make}: {error}{advice}"
            ) from error
        lines = [f"{self.copy_network(network, model)} weights from {make}, {weights}"]
        return "\n".join(filter(None, [*lines, carried_over(model.input.shape[-1])]))

    def copy_network(self, network: keras.Model, model: keras.Model) -> int:
        """Sets the backbone's weights in a model from a network of keras.applications.

        Args:
            network: The one that this backbone is of, without its top.
            model: Built on a backbone like this one.

        Returns:
            How many weights.
        """
        return KerasBackbone(network, self._tensors(network), self.output_stride).copy_to(model)

    def _make(self, weights: str | None = None) -> keras.Model:
        with warnings.catch_warnings():
            # MobileNetV3 warns that its weights were trained at 224x224.
            warnings.simplefilter("ignore", UserWarning)
            return getattr(keras.applications, self.application.make)(
                include_top=False, weights=weights, input_shape=(None, None, 3), **self._options
            )

    def _tensors(self, model: keras.Model) -> list[Tap]:
        return [self._tensor(model, tap) for tap in self.application.taps]

    @staticmethod
    def _tensor(model: keras.Model, tap: str) -> Tap:
        if not tap:
            return model.output
        if not tap.startswith("before "):
            return tap
        layers = {layer.name: layer for layer in model._flatten_layers()}
        return layers[tap.removeprefix("before ")].input


class MobileNetV3Backbone(ApplicationBackbone):
    """MobileNetV3 (arXiv 1905.02244) of keras.applications; see `ApplicationBackbone`.

    Args:
        network: `"mobilenet_v3_small"` or `"mobilenet_v3_large"`.
        output_stride: 8, 16 or 32.
        width: Multiplier of all channels. Published weights: 0.75 and 1.
        minimalistic: Whether there are no gates, no hard-swish and no 5×5 kernels. Published
            weights: of width 1.
        normalization: As in `ApplicationBackbone`.
        momentum: As in `ApplicationBackbone`.
    """

    def __init__(
        self,
        network: str,
        output_stride: int = 32,
        *,
        width: float = 1.0,
        minimalistic: bool = False,
        normalization: str | Mapping | None = None,
        momentum: float = 0.9,
    ):
        if width <= 0:
            raise ValueError(f"`width` must be positive. Received: width={width}")
        self._set_up(
            network,
            output_stride,
            normalization,
            momentum,
            alpha=float(width),
            minimalistic=minimalistic,
        )
