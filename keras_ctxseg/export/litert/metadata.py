"""Class names, palette and what the comparison found, inside a LiteRT file.

The form is TensorFlow Lite's own: a `TFLITE_METADATA` buffer in the model (metadata_schema.fbs,
`M001`) that names the associated files, and these as a zip archive appended to the model. So
`unzip`, Netron, MediaPipe's and TensorFlow Lite's metadata readers find `labels.txt`; what that
schema has no place for is in `keras_ctxseg.json` beside it. MediaPipe's ImageSegmenter also needs
the input's normalisation, labels on its last output, and what turns scores into confidences.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ctxseg.export.litert.graph import LitertGraph
from keras_ctxseg.export.litert.scores import SCORES
from keras_ctxseg.export.loading.litert_file import DETAILS_FILE, LABELS_FILE
from keras_ctxseg.export.loading.metadata import FileMetadata

BUFFER_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
# MediaPipe's own part, of image_segmenter_metadata_schema.fbs.
SEGMENTER = "SEGMENTER_METADATA"
SEGMENTER_ID = b"V001"
_SOFTMAX = 2

# Of metadata_schema.fbs.
_UNKNOWN_FILE = 0
_AXIS_LABELS = 2
_VALUE_LABELS = 3
_IMAGE_PROPERTIES = 2
_NORMALISATION = 1
_RGB = 1
_OUTPUTS = {
    "logits": ("Scores of each class, before softmax", _AXIS_LABELS),
    "labels": ("Class ids", _VALUE_LABELS),
    SCORES: ("Quantised scores of each class, before softmax", _AXIS_LABELS),
}


def with_metadata(content: bytes, metadata: FileMetadata) -> bytes:
    """The file with metadata, in place of any it had."""
    graph = LitertGraph(content)
    model = graph.model
    entries = [entry for entry in model.metadata or [] if entry.name.decode() != BUFFER_NAME]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(_flatbuffer(metadata, graph), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = BUFFER_NAME.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*entries, entry]
    details = json.dumps(dataclasses.asdict(metadata), indent=1, ensure_ascii=False)
    archive = io.BytesIO()
    archive.write(graph.packed())
    with zipfile.ZipFile(archive, "a") as files:
        # A fixed date: the same model makes the same file.
        files.writestr(zipfile.ZipInfo(LABELS_FILE), "\n".join(metadata.class_names) + "\n")
        files.writestr(zipfile.ZipInfo(DETAILS_FILE), details + "\n")
    return archive.getvalue()


def _flatbuffer(metadata: FileMetadata, graph: LitertGraph) -> bytes:
    builder = flatbuffers.Builder(1024)
    signature = graph.model.signatureDefs[0]
    names = {each.tensorIndex: each.name.decode() for each in signature.outputs}
    outputs = [_result(builder, names[tensor]) for tensor in graph.graph.outputs]
    channels = graph.graph.tensors[graph.graph.inputs[0]].shape[-1]
    inputs = [_image(builder) if channels == 3 else _channels(builder)]
    parts = [(2, "offset", _vector(builder, inputs)), (3, "offset", _vector(builder, outputs))]
    if channels == 3:  # What MediaPipe segments.
        custom = _table(
            builder,
            [
                (0, "offset", builder.CreateString(SEGMENTER)),
                (1, "offset", _bytes(builder, _segmenter_options())),
            ],
        )
        parts.append((9, "offset", _vector(builder, [custom])))
    subgraph = _table(builder, parts)
    details = _file(
        builder, DETAILS_FILE, "Palette, ignore label, comparison with Keras", _UNKNOWN_FILE
    )
    root = _table(
        builder,
        [
            (0, "offset", builder.CreateString(metadata.model)),
            (1, "offset", builder.CreateString(metadata.description)),
            (3, "offset", _vector(builder, [subgraph])),
            (6, "offset", _vector(builder, [details])),
            (7, "offset", builder.CreateString(PARSER_VERSION)),
        ],
    )
    builder.Finish(root, IDENTIFIER)
    return bytes(builder.Output())


def _image(builder: flatbuffers.Builder) -> int:
    """`TensorMetadata` of the input: RGB in 0..255 as it is, (x - 0) / 1."""
    properties = _table(builder, [(0, "byte", _RGB)])
    content = _table(builder, [(0, "byte", _IMAGE_PROPERTIES), (1, "offset", properties)])
    normalisation = _table(
        builder,
        [(0, "offset", _floats(builder, [0.0])), (1, "offset", _floats(builder, [1.0]))],
    )
    unit = _table(builder, [(0, "byte", _NORMALISATION), (1, "offset", normalisation)])
    stats = _table(
        builder,
        [(0, "offset", _floats(builder, [255.0])), (1, "offset", _floats(builder, [0.0]))],
    )
    return _table(
        builder,
        [
            (0, "offset", builder.CreateString("images")),
            (1, "offset", builder.CreateString("RGB in 0..255; normalised inside")),
            (3, "offset", content),
            (4, "offset", _vector(builder, [unit])),
            (5, "offset", stats),
        ],
    )


def _channels(builder: flatbuffers.Builder) -> int:
    """`TensorMetadata` of an input that is not RGB."""
    described = "On the scale of the training images; normalised inside"
    return _table(
        builder,
        [
            (0, "offset", builder.CreateString("images")),
            (1, "offset", builder.CreateString(described)),
        ],
    )


def _result(builder: flatbuffers.Builder, name: str) -> int:
    """`TensorMetadata` of an output, with the class names for its values or its last axis."""
    described, kind = _OUTPUTS[name]
    labels = _file(builder, LABELS_FILE, "A class a line, in the order of their ids", kind)
    return _table(
        builder,
        [
            (0, "offset", builder.CreateString(name)),
            (1, "offset", builder.CreateString(described)),
            (6, "offset", _vector(builder, [labels])),
        ],
    )


def _segmenter_options() -> bytes:
    """`ImageSegmenterOptions`: MediaPipe's confidence masks are the softmax of the scores."""
    builder = flatbuffers.Builder(64)
    version = builder.CreateString(PARSER_VERSION)
    builder.Finish(_table(builder, [(0, "byte", _SOFTMAX), (1, "offset", version)]), SEGMENTER_ID)
    return bytes(builder.Output())


def _file(builder: flatbuffers.Builder, name: str, description: str, kind: int) -> int:
    return _table(
        builder,
        [
            (0, "offset", builder.CreateString(name)),
            (1, "offset", builder.CreateString(description)),
            (2, "byte", kind),
        ],
    )


def _table(builder: flatbuffers.Builder, values: list[tuple[int, str, int]]) -> int:
    """A table of (slot, `"byte"` or `"offset"`, value)."""
    builder.StartObject(1 + max(slot for slot, _, _ in values))
    for slot, kind, value in values:
        if kind == "byte":
            builder.PrependUint8Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _vector(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder: flatbuffers.Builder, values: list[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()


def _bytes(builder: flatbuffers.Builder, values: bytes) -> int:
    builder.StartVector(1, len(values), 16)  # A buffer in itself, aligned as the schema asks.
    for value in reversed(values):
        builder.PrependUint8(value)
    return builder.EndVector()
