"""From feature maps to logits at the images' size, as functions on symbolic Keras tensors."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.heads.classifier import classify
    from keras_ctxseg.heads.deeplab import deeplabv3plus_decoder
    from keras_ctxseg.heads.encnet import encnet_head, presence_head
    from keras_ctxseg.heads.fcn import fcn_head
    from keras_ctxseg.heads.panoptic import instance_head
    from keras_ctxseg.heads.rsp import efficient_pyramid, rsp_head
    from keras_ctxseg.heads.spacemeshlab import classify_with_memory

__getattr__, __dir__, __all__ = lazy_exports(__name__)
