"""Class names, palette and what the comparison found, inside a LiteRT file.

The form is TensorFlow Lite's own: a `TFLITE_METADATA` buffer in the model (metadata_schema.fbs,
`M001`) that names the associated files, and these as a zip archive appended to the model. So
`unzip`, Netron, MediaPipe's and TensorFlow Lite's metadata readers find `labels.txt`; what that
schema has no place for is in `keras_ctxseg.json` beside it.
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
from keras_ctxseg.export.loading.litert_file import DETAILS_FILE, LABELS_FILE
from keras_ctxseg.export.loading.metadata import FileMetadata

BUFFER_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"

# Of metadata_schema.fbs.
_TENSOR_AXIS_LABELS = 2
_IMAGE_PROPERTIES = 2
_RGB = 1


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
    properties = _table(builder, 2, [(0, "byte", _RGB)])
    content = _table(builder, 3, [(0, "byte", _IMAGE_PROPERTIES), (1, "offset", properties)])
    image = _table(
        builder,
        7,
        [
            (0, "offset", builder.CreateString("images")),
            (1, "offset", builder.CreateString("RGB in 0..255; normalised inside")),
            (3, "offset", content),
        ],
    )
    labels = _table(
        builder,
        5,
        [
            (0, "offset", builder.CreateString(LABELS_FILE)),
            (1, "offset", builder.CreateString("A class a line, in the order of their ids")),
            (2, "byte", _TENSOR_AXIS_LABELS),
        ],
    )
    output = graph.model.signatureDefs[0].outputs[0].name.decode()
    result = _table(
        builder,
        7,
        [
            (0, "offset", builder.CreateString(output)),
            (6, "offset", _vector(builder, [labels])),
        ],
    )
    subgraph = _table(
        builder,
        10,
        [(2, "offset", _vector(builder, [image])), (3, "offset", _vector(builder, [result]))],
    )
    details = _table(
        builder,
        5,
        [
            (0, "offset", builder.CreateString(DETAILS_FILE)),
            (1, "offset", builder.CreateString("Palette, ignore label, comparison with Keras")),
        ],
    )
    root = _table(
        builder,
        8,
        [
            (0, "offset", builder.CreateString(metadata.model)),
            (1, "offset", builder.CreateString(metadata.description)),
            (3, "offset", _vector(builder, [subgraph])),
            (6, "offset", _vector(builder, [details])),
            (7, "offset", builder.CreateString("1.0.0")),
        ],
    )
    builder.Finish(root, IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, fields: int, values: list[tuple[int, str, int]]) -> int:
    builder.StartObject(fields)
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
