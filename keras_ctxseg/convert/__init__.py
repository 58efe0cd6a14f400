"""Weights from other projects' checkpoints: read without running their code, mapped by tables."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.convert.imagenet import IMAGENET
    from keras_ctxseg.convert.load import convert, load_elsewhere
    from keras_ctxseg.convert.mapping import map_weights
    from keras_ctxseg.convert.read import read_checkpoint
    from keras_ctxseg.convert.report import ConversionError, Report
    from keras_ctxseg.convert.sources import SOURCES

__getattr__, __dir__, __all__ = lazy_exports(__name__)
