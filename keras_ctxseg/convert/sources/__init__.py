"""Whose checkpoints can be converted; a file each, with the table of names."""

from keras_ctxseg.convert.sources.deeplab_tf1 import DEEPLAB_TF1
from keras_ctxseg.convert.sources.keras_applications import KERAS_APPLICATIONS
from keras_ctxseg.convert.sources.keras_hub import KERAS_HUB
from keras_ctxseg.convert.sources.mmsegmentation import MMSEGMENTATION
from keras_ctxseg.convert.sources.pytorch_encoding import PYTORCH_ENCODING
from keras_ctxseg.convert.sources.tf_models import TF_MODELS
from keras_ctxseg.convert.sources.timm import TIMM
from keras_ctxseg.convert.sources.torchvision import TORCHVISION
from keras_ctxseg.convert.tables import Source

SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        KERAS_APPLICATIONS,
        KERAS_HUB,
        TORCHVISION,
        TIMM,
        TF_MODELS,
        DEEPLAB_TF1,
        MMSEGMENTATION,
        PYTORCH_ENCODING,
    )
}

__all__ = ["SOURCES"]
