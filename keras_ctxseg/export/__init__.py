"""What leaves the package: SavedModels for TensorFlow Serving, LiteRT files for devices, ONNX."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.export.errors import ExportError
    from keras_ctxseg.export.litert.export import export_litert
    from keras_ctxseg.export.litert.forms import FORMS, LitertForm
    from keras_ctxseg.export.litert.operations import litert_operations
    from keras_ctxseg.export.loading.load import load
    from keras_ctxseg.export.loading.loaded_model import LoadedModel
    from keras_ctxseg.export.onnx.export import export_onnx
    from keras_ctxseg.export.parity.check import check_parity
    from keras_ctxseg.export.parity.report import ParityReport
    from keras_ctxseg.export.publishing.publish import ExportResult
    from keras_ctxseg.export.saved_model.export import export_saved_model
    from keras_ctxseg.export.saved_model.serving import ServingModule

__getattr__, __dir__, __all__ = lazy_exports(__name__)
