"""Places that cannot be written to: clear errors, nothing left behind, nothing overwritten."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from keras_ctxseg.export import ExportError, check_parity, export_litert, export_saved_model
from keras_ctxseg.export.loading.metadata import LabelsFile
from keras_ctxseg.export.publishing.publish import staging_directory
from keras_ctxseg.export.saved_model import export as saved_model_file
from tests.export.exporting import CLASS_NAMES, random_image
from tests.export.test_saved_model import passed_parity


@pytest.fixture
def open_path():
    """A directory that every user may enter, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="ctxseg-places-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def ordinary_user():
    """The superuser may write anywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@contextlib.contextmanager
def files_of_at_most(size):
    """As on a disk with so many bytes left, but for the words of the error."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def exports(model, folder):
    """One call for each kind of export."""
    return (
        lambda: export_saved_model(model, folder / "tiny", CLASS_NAMES),
        lambda: export_litert(model, folder / "tiny.tflite", (40, 56)),
    )


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_without_permission(model, open_path, mode):
    closed = open_path / "closed"
    closed.mkdir()
    (closed / "tiny.tflite").write_bytes(b"old")
    closed.chmod(mode)
    for export in exports(model, closed):
        with ordinary_user(), pytest.raises(ExportError, match="cannot write to .*Permission den"):
            export()
    closed.chmod(0o755)
    assert [(path.name, path.read_bytes()) for path in closed.iterdir()] == [
        ("tiny.tflite", b"old")
    ]


def test_a_full_disk(model, tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model_file, "check_parity", passed_parity)
    export_saved_model(model, tmp_path / "tiny", CLASS_NAMES)
    (tmp_path / "tiny.tflite").write_bytes(b"old")
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    for export in exports(model, tmp_path):
        with files_of_at_most(1000), pytest.raises(ExportError, match=r"cannot write .*tiny"):
            export()
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before
    assert (tmp_path / "tiny.tflite").read_bytes() == b"old"


def test_what_a_killed_export_left_is_removed_by_the_next(tmp_path):
    child = (
        "import os, sys, pathlib\n"
        "from keras_ctxseg.export.publishing.publish import staging_directory\n"
        "with staging_directory(pathlib.Path(sys.argv[1])) as staging:\n"
        "    (staging / 'half').write_text('')\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", child, tmp_path]).returncode == 9
    (left,) = tmp_path.glob(".tmp-*/half")
    (tmp_path / ".tmp-of-another-program").mkdir()
    with staging_directory(tmp_path) as first, staging_directory(tmp_path) as second:
        assert not left.exists()
        assert first.is_dir() and second.is_dir()  # exports at the same time
    assert [path.name for path in tmp_path.iterdir()] == [".tmp-of-another-program"]


def test_no_room_for_the_images_of_a_comparison(model, tmp_path):
    (tmp_path / "assets.extra").mkdir()
    beside = LabelsFile("tiny", CLASS_NAMES, None, 9, 1.0)
    (tmp_path / "assets.extra" / "labels.json").write_text(json.dumps(asdict(beside)))
    image = random_image(60, 60)
    with (
        files_of_at_most(1000),
        pytest.raises(ExportError, match="cannot write to .*requested"),
    ):
        check_parity(model, tmp_path, [image])


def test_a_saved_model_cut_off_is_no_match(model, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(saved_model_file, "check_parity", passed_parity)
        path = export_saved_model(model, tmp_path / "tiny", CLASS_NAMES).path
    graph = path / "saved_model.pb"
    content = graph.read_bytes()
    graph.write_bytes(content[: len(content) // 2])
    with pytest.raises(ExportError, match="does not run when loaded afresh"):
        check_parity(model, path, [np.zeros((40, 40, 3), np.uint8)])
    assert graph.stat().st_size == len(content) // 2
