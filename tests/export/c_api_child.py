"""Runs a SavedModel as TensorFlow Serving does: by TensorFlow's C++ loader, with tag `serve`.

Started by path in a process of its own. It reaches the loader through the C API of the installed
wheel, by ctypes; Python's TensorFlow, Keras and keras_ctxseg are never imported.

Arguments: folder of the libraries, SavedModel, folder with `0.bin`, `1.bin`, ... (encoded images).
Writes `labels.npy`, `sizes.npy` and `errors.json` into that folder.
"""

import ctypes
import json
import sys
from pathlib import Path

import numpy as np

STRING, INT32 = 7, 3
TSTRING_BYTES = 24


class Output(ctypes.Structure):
    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class Buffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class Loader:
    """A session on a SavedModel."""

    def __init__(self, libraries: Path, saved_model: str):
        framework = next(libraries.glob("libtensorflow_framework.so*"))
        ctypes.CDLL(str(framework), mode=ctypes.RTLD_GLOBAL)
        self.lib = ctypes.CDLL(str(next(libraries.glob("libtensorflow_cc.so*"))))
        for name in (
            "TF_NewStatus", "TF_Message", "TF_NewGraph", "TF_NewSessionOptions", "TF_NewBuffer",
            "TF_LoadSessionFromSavedModel", "TF_GraphOperationByName", "TF_AllocateTensor",
            "TF_TensorData", "TF_StringGetDataPointer",
        ):  # fmt: skip
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.lib.TF_Message.restype = ctypes.c_char_p
        self.lib.TF_Dim.restype = ctypes.c_int64
        self.lib.TF_TensorByteSize.restype = ctypes.c_size_t
        self.lib.TF_StringGetSize.restype = ctypes.c_size_t
        self.status = ctypes.c_void_p(self.lib.TF_NewStatus())
        self.graph = ctypes.c_void_p(self.lib.TF_NewGraph())
        options = ctypes.c_void_p(self.lib.TF_NewSessionOptions())
        tags = (ctypes.c_char_p * 1)(b"serve")
        meta_graph = self.lib.TF_NewBuffer()
        session = self.lib.TF_LoadSessionFromSavedModel(
            options, None, saved_model.encode(), tags, 1, self.graph,
            ctypes.c_void_p(meta_graph), self.status,
        )  # fmt: skip
        self.check()
        self.session = ctypes.c_void_p(session)
        buffer = Buffer.from_address(meta_graph)
        self.meta_graph = ctypes.string_at(buffer.data, buffer.length)

    def check(self):
        if self.lib.TF_GetCode(self.status) != 0:
            raise RuntimeError(self.lib.TF_Message(self.status).decode())

    def output(self, name: str) -> Output:
        operation, _, index = name.partition(":")
        found = self.lib.TF_GraphOperationByName(self.graph, operation.encode())
        if not found:
            raise RuntimeError(f"no operation {operation}")
        return Output(found, int(index or 0))

    def run(self, feed: str, files: list[bytes], fetches: list[str]) -> list[ctypes.c_void_p]:
        inputs = (ctypes.c_void_p * 1)(self.strings(files))
        results = (ctypes.c_void_p * len(fetches))()
        self.lib.TF_SessionRun(
            self.session, None, (Output * 1)(self.output(feed)), inputs, 1,
            (Output * len(fetches))(*map(self.output, fetches)), results, len(fetches),
            None, 0, None, self.status,
        )  # fmt: skip
        self.check()
        self.lib.TF_DeleteTensor(ctypes.c_void_p(inputs[0]))
        return [ctypes.c_void_p(result) for result in results]

    def strings(self, values: list[bytes]) -> int:
        dimensions = (ctypes.c_int64 * 1)(len(values))
        size = ctypes.c_size_t(TSTRING_BYTES * len(values))
        tensor = self.lib.TF_AllocateTensor(STRING, dimensions, 1, size)
        first = self.lib.TF_TensorData(ctypes.c_void_p(tensor))
        for index, value in enumerate(values):
            place = ctypes.c_void_p(first + TSTRING_BYTES * index)
            self.lib.TF_StringInit(place)
            self.lib.TF_StringCopy(place, value, ctypes.c_size_t(len(value)))
        return tensor

    def array(self, tensor: ctypes.c_void_p) -> np.ndarray:
        """An int32 tensor as an array; the tensor is freed."""
        assert self.lib.TF_TensorType(tensor) == INT32
        shape = [self.lib.TF_Dim(tensor, axis) for axis in range(self.lib.TF_NumDims(tensor))]
        content = ctypes.string_at(
            self.lib.TF_TensorData(tensor), self.lib.TF_TensorByteSize(tensor)
        )
        self.lib.TF_DeleteTensor(tensor)
        return np.frombuffer(content, np.int32).reshape(shape)

    def texts(self, tensor: ctypes.c_void_p) -> list[str]:
        assert self.lib.TF_TensorType(tensor) == STRING
        first, result = self.lib.TF_TensorData(tensor), []
        for index in range(self.lib.TF_Dim(tensor, 0)):
            place = ctypes.c_void_p(first + TSTRING_BYTES * index)
            data, size = self.lib.TF_StringGetDataPointer(place), self.lib.TF_StringGetSize(place)
            result.append(ctypes.string_at(data, size).decode())
        self.lib.TF_DeleteTensor(tensor)
        return result


def main(libraries: str, saved_model: str, exchange: str) -> None:
    folder = Path(exchange)
    loader = Loader(Path(libraries), saved_model)
    names = json.loads((folder / "names.json").read_text())
    files = [path.read_bytes() for path in sorted(folder.glob("*.bin"))]
    fetches = [names[key] for key in ("labels", "sizes", "errors")]
    labels, sizes, errors = loader.run(names["images"], files, fetches)
    np.save(folder / "labels.npy", loader.array(labels))
    np.save(folder / "sizes.npy", loader.array(sizes))
    (folder / "errors.json").write_text(json.dumps(loader.texts(errors)))
    (folder / "meta_graph.pb").write_bytes(loader.meta_graph)
    foreign = {"tensorflow", "keras", "keras_ctxseg"} & set(sys.modules)
    if foreign:
        raise RuntimeError(f"imported {foreign}")


if __name__ == "__main__":
    main(*sys.argv[1:])
