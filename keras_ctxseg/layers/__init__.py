"""Context layers and the bricks under them; each stands on its own in any Keras model."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.layers.aspp import ASPP
    from keras_ctxseg.layers.atrous_consensus import AtrousConsensus
    from keras_ctxseg.layers.atrous_conv import AtrousConv2D
    from keras_ctxseg.layers.atrous_pooling import AtrousPooling2D
    from keras_ctxseg.layers.batch_norm import BatchNorm
    from keras_ctxseg.layers.collapsed import CollapsedConv2D, CollapsedDepthwiseConv2D
    from keras_ctxseg.layers.context_encoding import ContextEncoding, EncodedSemantics
    from keras_ctxseg.layers.conv_norm_act import (
        ConvNormAct,
        DepthwiseConvNormAct,
        SeparableConvNormAct,
    )
    from keras_ctxseg.layers.encoding import Encoding, encode
    from keras_ctxseg.layers.image_pooling import ImagePooling
    from keras_ctxseg.layers.layer_scale import LayerScale
    from keras_ctxseg.layers.normalize_images import NormalizeImages
    from keras_ctxseg.layers.rearranged_arithmetic import rearrangement
    from keras_ctxseg.layers.relation_propagator import RelationPropagator
    from keras_ctxseg.layers.relational_semantics import RelationalSemanticsExtractor
    from keras_ctxseg.layers.resize import ResizeLike, resize_bilinear
    from keras_ctxseg.layers.resize_nearest import ResizeNearest
    from keras_ctxseg.layers.shared_kernel import (
        SharedKernelConv,
        shared_atrous_convolutions,
        shared_atrous_grid,
    )
    from keras_ctxseg.layers.shared_kernel_aspp import SharedKernelASPP
    from keras_ctxseg.layers.spam_branch import SpaMBranch, SpaMExchange

__getattr__, __dir__, __all__ = lazy_exports(__name__)
