"""What leaves the package: SavedModels for TensorFlow Serving, LiteRT files for devices, ONNX."""

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.litert import export_litert
from keras_ctxseg.export.litert_file import litert_operations
from keras_ctxseg.export.litert_forms import FORMS, LitertForm
from keras_ctxseg.export.load import LoadedModel, load
from keras_ctxseg.export.onnx_export import export_onnx
from keras_ctxseg.export.parity import ParityReport, check_parity
from keras_ctxseg.export.result import ExportResult
from keras_ctxseg.export.saved_model import export_saved_model
from keras_ctxseg.export.serving import ServingModule

__all__ = [
    "FORMS",
    "ExportError",
    "ExportResult",
    "LitertForm",
    "LoadedModel",
    "ParityReport",
    "ServingModule",
    "check_parity",
    "export_litert",
    "export_onnx",
    "export_saved_model",
    "litert_operations",
    "load",
]
