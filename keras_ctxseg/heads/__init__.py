"""From feature maps to logits at the images' size, as functions on symbolic Keras tensors."""

from keras_ctxseg.heads.classifier import classify
from keras_ctxseg.heads.deeplab import deeplabv3plus_decoder
from keras_ctxseg.heads.encnet import encnet_head, presence_head
from keras_ctxseg.heads.fcn import fcn_head
from keras_ctxseg.heads.panoptic import instance_head
from keras_ctxseg.heads.rsp import efficient_pyramid, rsp_head
from keras_ctxseg.heads.spacemeshlab import classify_with_memory

__all__ = [
    "classify",
    "classify_with_memory",
    "deeplabv3plus_decoder",
    "efficient_pyramid",
    "encnet_head",
    "fcn_head",
    "instance_head",
    "presence_head",
    "rsp_head",
]
