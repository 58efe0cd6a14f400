"""A full disk stops the run with an error, and what was saved before goes on."""

import contextlib
import dataclasses
import os
import resource
import signal
import subprocess

import numpy as np
import pytest

from keras_ctxseg.runs.checkpoint import check_whole, read_state
from keras_ctxseg.training.event_file import EventFile
from keras_ctxseg.training.run import train


def quiet(line):
    pass


def longer(config, epochs):
    return dataclasses.replace(config, training=dataclasses.replace(config.training, epochs=epochs))


@pytest.mark.usefixtures("tiny_parts")
def test_a_log_that_cannot_be_written(make_config):
    config = make_config(epochs=1)
    directory = train(config, say=quiet).directory
    last = directory / "checkpoints/last.keras"
    blocked = directory / "log.csv.partial"
    blocked.symlink_to("/dev/full")
    message = (
        rf"No space left on device \(.*log\.csv\)\. The run stopped; its last .* {last.parent}"
    )
    with pytest.raises(OSError, match=message):
        train(longer(config, 2), resume=True, say=quiet)
    assert read_state(last).epoch == 1
    check_whole(last)
    blocked.unlink()
    assert train(longer(config, 2), resume=True, say=quiet).epochs == 2


def test_tensorboard_says_so(tmp_path):
    """The kernel refuses a part of a write, as a full disk does."""
    events = EventFile(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (events.path.stat().st_size + 50, before[1]))
    try:
        with pytest.raises(OSError, match=rf"cannot write {events.path}: File too large"):
            events.scalar("loss", 0.5, 1)
            events.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_tensorboard_reads_the_file(tmp_path):
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for first_step, losses in ((1, {1: 0.5, 2: 0.25, 3: 9.0}), (3, {3: 0.125})):
        events = EventFile(tmp_path, first_step)
        for step, loss in losses.items():
            events.scalar("loss", loss, step)
        events.image("picture", image, first_step)
        events.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    # What the second file's run took back is gone.
    found = [(each.step, float(each.tensor_proto.float_val[0])) for each in read.Tensors("loss")]
    assert found == [(1, 0.5), (2, 0.25), (3, 0.125)]
    width, height, png = read.Tensors("picture")[-1].tensor_proto.string_val
    import tensorflow as tf

    assert (width, height) == (b"7", b"5")
    np.testing.assert_array_equal(tf.io.decode_png(png), image)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB, where the tests may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.usefixtures("tiny_parts")
def test_a_disk_that_is_full(make_config, small_disk):
    config = dataclasses.replace(
        make_config(epochs=1, overlay_images=0), output_dir=str(small_disk)
    )
    directory = train(config, say=quiet).directory
    last = directory / "checkpoints/last.keras"
    before = last.read_bytes()
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - 8192)  # Enough for the text files.
    with pytest.raises((OSError, ValueError), match="No space left on device.* kept"):
        train(longer(config, 2), resume=True, say=quiet)
    assert last.read_bytes() == before
    filler.unlink()
    assert train(longer(config, 2), resume=True, say=quiet).epochs == 2
