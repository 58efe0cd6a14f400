"""`context_scenes`, the embedded data set: small drawn scenes in which context decides."""

from keras_ctxseg.data.context_scenes.load import load_context_scenes

__all__ = ["load_context_scenes"]
