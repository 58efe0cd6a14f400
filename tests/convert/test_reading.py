"""Files of every kind: read exactly, or refused in words, and never run."""

import collections
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg._untrusted import LimitError, check_unpacked
from keras_ctxseg.convert import ConversionError, read_checkpoint
from keras_ctxseg.convert.torch_file import Storage, Tensor
from tests.convert.torch_files import MAGIC, write_legacy_pth, write_pth, write_safetensors


def _state(rng):
    return {
        "conv.weight": rng.standard_normal((4, 3, 3, 3)).astype("float32"),
        "half": rng.standard_normal(5).astype("float16"),
        "counter": np.array(12),
        # In memory transposed and behind a gap; see `torch_files`.
        "fc.weight": rng.standard_normal((6, 7)),
        "brain": rng.standard_normal((2, 2)).astype(ml_dtypes.bfloat16),
        "mask": np.array([True, False]),
    }


@pytest.mark.parametrize("write", [write_pth, write_legacy_pth])
@pytest.mark.parametrize("wrapped", [False, True])
def test_pth_gives_the_arrays(rng, tmp_path, write, wrapped):
    state = _state(rng)
    stored = {f"module.{name}": array for name, array in state.items()}
    write(tmp_path / "w.pth", {"epoch": 1, "state_dict": stored} if wrapped else stored)
    found = read_checkpoint(tmp_path / "w.pth")
    assert list(found) == list(state)
    for name, array in state.items():
        expected = array.astype("float32") if name == "brain" else array
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_safetensors_gives_the_arrays(rng, tmp_path):
    state = {key: value for key, value in _state(rng).items() if key not in ("brain", "mask")}
    write_safetensors(tmp_path / "w.safetensors", state)
    found = read_checkpoint(tmp_path / "w.safetensors")
    for name, array in state.items():
        np.testing.assert_array_equal(found[name], array)


class _Payload:
    """Makes a folder when it is unpickled by whoever runs what a pickle says."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _zipped(path, content: bytes):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)


def test_a_payload_is_not_run(tmp_path):
    trap, path = tmp_path / "trap", tmp_path / "evil.pth"
    content = pickle.dumps(collections.OrderedDict(weight=_Payload(trap)), protocol=2)
    pickle.loads(content)  # It would work.
    trap.rmdir()
    header = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, 1001, {}))
    calls = b"cbuiltins\neval\n(V__import__('os').mkdir('%s')\ntR." % str(trap).encode()
    nested = b"ctorch._utils\n_rebuild_tensor_v2\ncposix\nmkdir\n."
    for data in (content, calls, nested):
        for write in (
            lambda data: _zipped(path, data),
            lambda data: path.write_bytes(header + data),
            path.write_bytes,
        ):
            write(data)
            with pytest.raises(ConversionError, match=f"{path}: .*could run code"):
                read_checkpoint(path)
            assert not trap.exists()


def test_what_is_no_state_dict_is_refused(tmp_path, rng):
    path = tmp_path / "w.pth"
    for content, message in (
        (pickle.dumps([1, 2], protocol=2), "a list, not a dict of tensors"),
        (pickle.dumps({"a": 1}, protocol=2), "no tensors in it"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n(I1\nI0\n))tR.", "a tensor without a storage"),
    ):
        _zipped(path, content)
        with pytest.raises(ConversionError, match=message):
            read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/constants.pkl", b"")
    with pytest.raises(ConversionError, match="TorchScript"):
        read_checkpoint(path)
    with pytest.raises(ConversionError, match="no such file"):
        read_checkpoint(tmp_path / "missing.pth")


def test_a_tensor_cannot_look_outside_its_storage(tmp_path):
    path = tmp_path / "w.pth"
    write_pth(path, {"w": np.arange(6, dtype="float32")})
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    # Size 6 and stride 1 stand as single bytes in the pickle.
    assert content["archive/data.pkl"].count(b"K\x06\x85") == 1
    content["archive/data.pkl"] = content["archive/data.pkl"].replace(b"K\x06\x85", b"K\x63\x85")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    with pytest.raises(ConversionError, match="outside its storage"):
        read_checkpoint(path)


def _files(tmp_path, rng):
    """One file of every kind, whole."""
    state = {"conv.weight": rng.standard_normal((40, 30, 3, 3)).astype("float32")}
    write_pth(tmp_path / "a.pth", state)
    write_legacy_pth(tmp_path / "b.pth", state)
    write_safetensors(tmp_path / "c.safetensors", state)
    model = keras.Sequential([keras.Input((9, 9, 3)), keras.layers.Conv2D(50, 5, name="conv")])
    model.save(tmp_path / "d.keras")
    model.save_weights(tmp_path / "e.weights.h5")
    model.save(tmp_path / "f.h5")
    return sorted(tmp_path.iterdir())


def test_truncated_files_are_named(tmp_path, rng):
    for file in _files(tmp_path, rng):
        whole = file.read_bytes()
        assert read_checkpoint(file)
        for length in (0, 7, 100, len(whole) // 2, len(whole) - 50):
            file.write_bytes(whole[:length])
            with pytest.raises(ConversionError, match=str(file)):
                read_checkpoint(file)


def test_safetensors_that_lie_about_their_size(tmp_path):
    path = tmp_path / "w.safetensors"
    table = b'{"w": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}'
    path.write_bytes(struct.pack("<Q", len(table)) + table + b"12345678")
    with pytest.raises(ConversionError, match="w reaches outside the file"):
        read_checkpoint(path)
    path.write_bytes(struct.pack("<Q", 1 << 60) + table)
    with pytest.raises(ConversionError, match="longer than the file"):
        read_checkpoint(path)


def _tensorflow_checkpoint(prefix):
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=["a/weights", "a/weights/Momentum", "global_step"],
        shape_and_slices=[""] * 3,
        tensors=[tf.range(500.0), tf.range(500.0), tf.constant(7)],
    )


def test_tensorflow_checkpoints(tmp_path):
    _tensorflow_checkpoint(tmp_path / "model.ckpt")
    for path in (tmp_path / "model.ckpt", tmp_path / "model.ckpt.index", tmp_path):
        found = read_checkpoint(path)
        assert list(found) == ["a/weights"]
        np.testing.assert_array_equal(found["a/weights"], np.arange(500.0))
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[:900])
    with pytest.raises(ConversionError, match="damaged or incomplete"):
        read_checkpoint(tmp_path / "model.ckpt")
    data.unlink()
    with pytest.raises(ConversionError, match="damaged or incomplete"):
        read_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(ConversionError, match="other.ckpt.index is not there"):
        read_checkpoint(tmp_path / "other.ckpt")


def test_archives(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    _tensorflow_checkpoint(folder / "model.ckpt")
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "xception")
    assert list(read_checkpoint(path)) == ["a/weights"]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ConversionError, match="model.tar.gz.*(damaged|expected one)"):
        read_checkpoint(path)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../escaped.index"), io.BytesIO())
    with pytest.raises(ConversionError, match="no whole archive"):
        read_checkpoint(path)
    assert not (tmp_path / "escaped.index").exists()


def _legacy(path):
    write_legacy_pth(path, {"w": np.arange(6, dtype="float32")})
    return path.read_bytes()


def test_a_pickle_cannot_take_memory(tmp_path):
    """Its sizes and its memo's numbers are not believed."""
    path = tmp_path / "w.pth"
    for content in (
        b"\x80\x02}r\xff\xff\xff\xff.",  # LONG_BINPUT: a memo of four thousand million entries
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x.",  # BINBYTES8
        b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"}.",  # FRAME
        b"\x80\x02" + b"(" * 1000,
        b"\x80\x02]q\x00" + b"h\x00\x85" * 5000 + b".",
    ):
        for write in (lambda data: _zipped(path, data), path.write_bytes):
            write(content)
            with pytest.raises(ConversionError, match=f"^{path}: "):
                read_checkpoint(path)


def test_an_old_files_storages_end_where_it_does(tmp_path):
    path = tmp_path / "w.pth"
    whole = _legacy(path)
    place = len(whole) - 6 * 4 - 8
    assert struct.unpack("<q", whole[place : place + 8]) == (6,)
    for size in (-1, 2**61, 7):
        path.write_bytes(whole[:place] + struct.pack("<q", size) + whole[place + 8 :])
        with pytest.raises(ConversionError, match="reaches outside the file"):
            read_checkpoint(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(ConversionError, match="its storages end before the file does"):
        read_checkpoint(path)


def test_a_view_cannot_repeat_its_storage_for_ever(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(_legacy(path))
    for shape in ((2**40,), (2**20, 2**20)):
        tensor = Tensor(Storage("float32", "0", 6), 0, shape, (0,) * len(shape))
        with pytest.raises(LimitError, match="its tensors declare"):
            check_unpacked([tensor.bytes_in_all], path.stat().st_size, "its tensors")


def test_zip_and_tar_bombs_are_refused(tmp_path):
    zeros = bytes(120 * 2**20)
    for name in ("w.pth", "w.keras"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", zeros)
            archive.writestr("model.weights.h5", b"")
        with pytest.raises(ConversionError, match=f"{path}: its members declare 125,829,120 bytes"):
            read_checkpoint(path)
    path = tmp_path / "w.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("w.index")
        member.size = len(zeros)
        archive.addfile(member, io.BytesIO(zeros))
    with pytest.raises(ConversionError, match="its members declare 125,829,120 bytes"):
        read_checkpoint(path)


def test_hdf5_files_have_limits(tmp_path):
    path = tmp_path / "w.h5"
    cases = {
        "its data sets declare 4,000,000,000,000 bytes": lambda group: group.create_dataset(
            "0", (10**6, 10**6), "float32", chunks=(1000, 1000)
        ),
        "'vars/0' holds object, expected numbers": lambda group: group.create_dataset(
            "0", data="text"
        ),
        "'vars/0' points to another file": lambda group: group.create_dataset(
            "0", (4,), "float32", external=[(str(tmp_path / "other"), 0, 16)]
        ),
    }
    for message, add in cases.items():
        with h5py.File(path, "w") as file:
            add(file.create_group("vars"))
        with pytest.raises(ConversionError, match=f"{path}: {message}"):
            read_checkpoint(path)
    with h5py.File(path, "w") as file:
        file.create_group("vars").attrs["name"] = "a"
    with pytest.raises(ConversionError, match="no weights in it"):
        read_checkpoint(path)


def test_a_crash_of_the_hdf5_library_is_an_error(tmp_path, monkeypatch):
    """Attributes of a damaged file were seen to keep it busy for ever."""
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.ones(3)
    probe = tmp_path / "probe.py"
    monkeypatch.setattr("keras_ctxseg._untrusted.PROBE", str(probe))
    for code in (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
    ):
        probe.write_text(code)
        with pytest.raises(ConversionError, match=f"{path}: the HDF5 library crashed or did not"):
            read_checkpoint(path)


def test_safetensors_do_not_overlap(tmp_path):
    path = tmp_path / "w.safetensors"
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    for table, message in (
        ({"a": entry, "b": entry}, "its arrays overlap"),
        ({"a": {**entry, "shape": [2**32, 2**32]}}, "a reaches outside the file"),
        ({"a": {**entry, "shape": [-1, -2]}}, "a has the shape"),
        ([[]], "no whole checkpoint"),
    ):
        text = json.dumps(table).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
        with pytest.raises(ConversionError, match=f"{path}: {message}"):
            read_checkpoint(path)
