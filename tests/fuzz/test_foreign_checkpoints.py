"""Other projects' checkpoints of every kind, damaged in any way."""

import io
import json
import pickle
import struct
import tempfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keras_ctxseg.convert import ConversionError, read_checkpoint
from tests.convert.torch_files import write_legacy_pth, write_pth, write_safetensors
from tests.fuzz.oracle import damaged, damages, json_values, result_or_error

STATE = {
    "conv1.weight": np.arange(24, dtype="float32").reshape(2, 3, 2, 2),
    "bn.running_mean": np.ones(3, "float32"),
}


def written(write, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"w{suffix}"
        write(path)
        return path.read_bytes()


def _keras(path):
    with h5py.File(path, "w") as file:
        for name, arrays in (("c1", [np.ones((3, 3, 3, 2), "f"), np.ones(2, "f")]), ("relu", [])):
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            for index, array in enumerate(arrays):
                group.create_dataset(str(index), data=array)


def _legacy_keras(path):
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"c1"]
        group.create_group("c1").attrs["weight_names"] = [b"c1/kernel:0"]
        group["c1"].create_dataset("c1/kernel:0", data=np.ones((3, 3, 3, 2), "f"))


def _archive(path):
    _keras(path.with_suffix(".h5"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", path.with_suffix(".h5").read_bytes())


FILES = {
    "zip.pth": written(lambda path: write_pth(path, STATE), ".pth"),
    "legacy.pth": written(lambda path: write_legacy_pth(path, STATE), ".pth"),
    "w.safetensors": written(lambda path: write_safetensors(path, STATE), ".safetensors"),
    "current.h5": written(_keras, ".h5"),
    "legacy.h5": written(_legacy_keras, ".h5"),
    "w.keras": written(_archive, ".keras"),
}


def check(name: str, content: bytes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        arrays = result_or_error(read_checkpoint, path, ConversionError)
    if arrays is not None:
        assert any(array.size for array in arrays.values())
        assert all(array.dtype.kind in "biuf" for array in arrays.values())


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(name):
    check(name, FILES[name])


HDF5 = ["current.h5", "legacy.h5", "w.keras"]


@given(st.sampled_from(sorted({*FILES} - {*HDF5})), damages)
def test_any_damage(name, changes):
    check(name, damaged(FILES[name], changes))


# Each starts a process.
@settings(max_examples=max(settings.default.max_examples // 20, 5))
@given(st.sampled_from(HDF5), damages)
def test_any_damage_to_hdf5(name, changes):
    check(name, damaged(FILES[name], changes))


opcodes = st.sampled_from(
    [opcode.encode("latin-1") for opcode in "(.012FGIJKLMNPQRSTUVXabcdeghijlopqrstu}])\x80\x81\x82"
     "\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95"]
)  # fmt: skip
parts = opcodes | st.binary(max_size=9) | st.sampled_from([
    b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"q\x00h\x00",
    b"ctorch\nFloatStorage\n", b"X\x07\x00\x00\x00storage", b"K\x03", b"J\xff\xff\xff\x7f",
    b"\x8a\x09" + b"\xff" * 9,
    b"r\xff\xff\xff\xff", b"cbuiltins\neval\n", b"I" + b"9" * 5000 + b"\n",
])  # fmt: skip


@given(st.lists(parts, max_size=25).map(b"".join), st.booleans())
def test_any_pickle(program, in_zip):
    if not in_zip:
        check("w.pth", FILES["legacy.pth"][:60] + program)
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + program)
        archive.writestr("archive/data/0", bytes(96))
    check("w.pth", buffer.getvalue())


@given(st.dictionaries(st.text(max_size=5), json_values | st.fixed_dictionaries({
    "dtype": st.sampled_from(["F32", "BF16", "X", 3]),
    "shape": st.lists(st.integers(-3, 2**40), max_size=3) | json_values,
    "data_offsets": st.lists(st.integers(-9, 2**40), min_size=2, max_size=2) | json_values,
}), max_size=3))  # fmt: skip
@example({"a": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 0]}})
def test_any_table_of_safetensors(table):
    text = json.dumps(table).encode("utf-8", "surrogatepass")
    check("w.safetensors", struct.pack("<Q", len(text)) + text + bytes(64))


def test_pickles_of_others_are_not_run():
    assert pickle.dumps(print)[:1] == b"\x80"  # What `print` needs is a name, which is refused:
    check("w.pth", pickle.dumps(print))
