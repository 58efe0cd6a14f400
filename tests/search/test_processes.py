"""Several processes on one study, and processes that are killed."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from keras_ctxseg.search import load_result, load_search_config
from tests.search.worker import score

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def start(path, notes, seconds=0.02, workers=1):
    command = [sys.executable, str(ROOT / "tests/search/worker.py")]
    return subprocess.Popen(
        [*command, str(path), str(seconds), str(notes), str(workers)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lines_of(notes):
    return notes.read_text().splitlines() if notes.exists() else []


def check(config, notes, trials):
    """Every slot is finished once, and with the score of its own topology."""
    result = load_result(config)
    assert [each.slot for each in result.records] == list(range(trials))
    for each in result.records:
        assert each.outcome in ("finished", "stopped")
        full = score(each.topology.signature)
        expected = full if each.outcome == "finished" else full * max(each.curve) / 2
        assert each.mean_iou == pytest.approx(expected, abs=1e-12)
    assert len({each.number for each in result.records}) == trials
    return result


@pytest.mark.parametrize(
    ("kind", "trials"),
    [
        ("journal", 6),
        pytest.param("journal", 14, marks=pytest.mark.whole),
        pytest.param("sqlite", 6, marks=pytest.mark.whole),
        pytest.param("grpc", 8, marks=pytest.mark.whole),
    ],
)
def test_two_processes_share_a_study(search_file, tmp_path, kind, trials):
    server = None
    if kind == "grpc":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        # The workers' file, of the same name, names the server where this one names the journal.
        config = search_file().rename(tmp_path / "server.yaml")
        code = "import sys; sys.argv[0] = 'ctxseg'; from keras_ctxseg.cli import main; main()"
        server = subprocess.Popen(
            [sys.executable, "-c", code, "search", str(config), "--serve", address],
            env=ENVIRONMENT,
        )
    storage = {
        "journal": None,
        "sqlite": f"sqlite:///{tmp_path}/databases/study.db",
        "grpc": f"grpc://{address}" if server else None,
    }[kind]
    notes = tmp_path / "notes"
    path = search_file(trials=trials, storage=storage, stopping={"quantile": 0.0})
    try:
        workers = [start(path, notes, workers=2) for _ in range(2)]
        for worker in workers:
            output, _ = worker.communicate(timeout=1500)
            assert worker.returncode == 0 and output.endswith(f"done {trials}\n"), output
        result = check(load_search_config(path), notes, trials)
    finally:
        if server is not None:
            server.kill()
            server.wait()
    # Each trial was scored by one process, once, and both had their share.
    scored = [line.split() for line in lines_of(notes)]
    numbers = [int(number) for _, number in scored]
    assert sorted(numbers) == sorted(each.number for each in result.records)
    assert len(Counter(process for process, _ in scored)) == 2


@pytest.mark.whole
def test_a_search_killed_at_any_moment_goes_on(search_file, tmp_path):
    trials, notes = 16, tmp_path / "notes"
    path = search_file(
        trials=trials,
        worker={"beat_seconds": 0.5, "grace_seconds": 4},
        stopping={"quantile": 0.0},
    )
    draw = random.Random(8)
    kills = 0
    while kills < 4:
        before = len(lines_of(notes))
        worker = start(path, notes, seconds=0.05)
        # Some trials on, at a random moment inside one, or between two.
        while len(lines_of(notes)) < before + 2 and worker.poll() is None:
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.3))
        worker.send_signal(signal.SIGKILL)
        output, _ = worker.communicate()
        if f"\ndone {trials}" in output:
            break
        kills += 1
    assert kills >= 3
    worker = start(path, notes)
    output, _ = worker.communicate(timeout=1500)
    assert worker.returncode == 0 and output.endswith(f"done {trials}\n"), output
    assert re.match(r"Going on: \d+ of 16", output)
    check(load_search_config(path), notes, trials)
    # At most the trial that a worker was killed in was scored again.
    assert trials <= len(lines_of(notes)) <= trials + kills
