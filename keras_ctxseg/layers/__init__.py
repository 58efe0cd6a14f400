"""Context layers and the bricks under them; each stands on its own in any Keras model."""

from keras_ctxseg.layers.aspp import ASPP
from keras_ctxseg.layers.atrous_consensus import AtrousConsensus
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
from keras_ctxseg.layers.normalize_images import NormalizeImages
from keras_ctxseg.layers.rearrangement import rearrangement
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

__all__ = [
    "ASPP",
    "AtrousConsensus",
    "BatchNorm",
    "CollapsedConv2D",
    "CollapsedDepthwiseConv2D",
    "ContextEncoding",
    "ConvNormAct",
    "DepthwiseConvNormAct",
    "EncodedSemantics",
    "Encoding",
    "ImagePooling",
    "NormalizeImages",
    "RelationPropagator",
    "RelationalSemanticsExtractor",
    "ResizeLike",
    "ResizeNearest",
    "SeparableConvNormAct",
    "SharedKernelASPP",
    "SharedKernelConv",
    "SpaMBranch",
    "SpaMExchange",
    "encode",
    "rearrangement",
    "resize_bilinear",
    "shared_atrous_convolutions",
    "shared_atrous_grid",
]
