"""Networks from images to feature maps."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.backbones.backbone import Backbone, FeatureInfo
    from keras_ctxseg.backbones.block_tables import (
        HAND_DILATED_BLOCKS,
        PARENT_BLOCKS,
        SEARCHED_BLOCKS,
        BlockSpec,
        dilate,
        read_blocks,
    )
    from keras_ctxseg.backbones.input_channels import spread_over_channels
    from keras_ctxseg.backbones.keras_applications import ApplicationBackbone
    from keras_ctxseg.backbones.keras_backbone import KerasBackbone, from_keras
    from keras_ctxseg.backbones.mobilenet_v2 import MobileNetV2
    from keras_ctxseg.backbones.registry import (
        BACKBONES,
        backbone_options,
        create,
        list_backbones,
        register_backbone,
    )
    from keras_ctxseg.backbones.resnet import ResNet
    from keras_ctxseg.backbones.spinenet import SpineNet
    from keras_ctxseg.backbones.xception import Xception65

__getattr__, __dir__, __all__ = lazy_exports(__name__)
