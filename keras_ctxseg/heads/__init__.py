"""From feature maps to logits at the images' size, as functions on symbolic Keras tensors."""

from keras_ctxseg.heads.classifier import classify
from keras_ctxseg.heads.deeplab import deeplabv3plus_decoder
from keras_ctxseg.heads.encnet import encnet_head, presence_head
from keras_ctxseg.heads.fcn import fcn_head

__all__ = ["classify", "deeplabv3plus_decoder", "encnet_head", "fcn_head", "presence_head"]
