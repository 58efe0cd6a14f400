"""Two workers: one is asked to stop, one is killed; the job that is started again goes on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_ctxseg.runs.checkpoint import read_state
from tests.distribution.processes import TIMEOUT, environment, free_ports
from tests.fixtures.tiny_parts import everything_in

pytestmark = pytest.mark.whole

RECIPE = """
name: run
model: {{name: tiny}}
data: {{name: stripes}}
augmentation: {{crop_size: [33, 33]}}
training: {{batch_size: 2, epochs: 3, save_every_steps: 4, overlay_images: 0, ema_momentum: 0.9}}
output_dir: {output}
"""


class TwoWorkers:
    """One run directory; `begin` starts two processes that train in it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "recipe.yaml").write_text(RECIPE.format(output=folder))
        self.last = folder / "run/checkpoints/last.keras"

    def begin(self):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        self.progress = [self.folder / f"progress{index}" for index in range(2)]
        workers = []
        for index, progress in enumerate(self.progress):
            progress.unlink(missing_ok=True)
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            script = Path(__file__).with_name("small_run.py")
            words = ["train", str(self.folder / "recipe.yaml"), "--resume", "auto"]
            workers.append(
                subprocess.Popen(
                    [sys.executable, script, progress, *words],
                    env=environment(TF_CONFIG=json.dumps(task)),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        return workers

    def end(self, workers):
        """Exit codes and outputs; a worker that hangs fails the test."""
        try:
            said = [worker.communicate(timeout=TIMEOUT)[0] for worker in workers]
        finally:
            for worker in workers:
                worker.kill()
        return [worker.returncode for worker in workers], said

    def signal_at(self, step, index, number):
        """Trains until worker `index` begins `step`, and sends it the signal."""
        workers = self.begin()
        while all(worker.poll() is None for worker in workers):
            text = self.progress[index].read_text() if self.progress[index].exists() else ""
            if text and int(text) >= step:
                workers[index].send_signal(number)
                break
            time.sleep(0.002)
        return self.end(workers)


def test_both_stop_and_go_on(tmp_path):
    straight = TwoWorkers(tmp_path / "straight")
    codes, said = straight.end(straight.begin())
    assert codes == [0, 0], said

    run = TwoWorkers(tmp_path / "interrupted")
    codes, said = run.signal_at(6, 1, signal.SIGTERM)
    assert codes == [75, 75], said
    step = read_state(run.last).step
    assert f"SIGTERM: stopped after step {step}, saved in {run.last}" in said[1]
    assert f"another worker's signal: stopped after step {step}, saved in {run.last}" in said[0]

    codes, said = run.signal_at(18, 1, signal.SIGKILL)
    assert codes == [75, -signal.SIGKILL], said
    assert f"Resuming   after epoch {step // 11}, {step % 11} steps" in said[0]
    assert "worker 1 has stopped, and so does this one: start all workers again." in said[0]
    assert read_state(run.last).step in (12, 16, 20)

    codes, said = run.end(run.begin())
    assert codes == [0, 0], said
    assert read_state(run.last).step == 33
    for values, expected in zip(everything_in(run.last), everything_in(straight.last), strict=True):
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)
    logs = [(each.folder / "run/log.csv").read_text().splitlines() for each in (run, straight)]
    assert [len(rows) for rows in logs] == [4, 4]
    columns = logs[0][0].split(",")
    for row, other in zip(logs[0][1:], logs[1][1:], strict=True):
        for name, value, expected in zip(columns, row.split(","), other.split(","), strict=True):
            if name != "seconds":
                assert float(value) == pytest.approx(float(expected), abs=1e-4), name
