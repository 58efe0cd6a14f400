"""One run in a process of its own: train (or go on), score the last weights, count the network.

    python child.py RECIPE RUN SIZE [key=value ...]

TensorFlow keeps memory of every `fit` until its process ends, so each run has one. Seconds of
processor and clock are written down while it trains, so that a killed run's count too. Where its
parent is killed it stops as on a signal, so that never two of them work on one run.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

EVERY = 20.0  # seconds between two notes of the time


def main(recipe: str, run: str, size: str, *overrides: str) -> int:
    """Returns `ctxseg`'s exit code, 75 where a signal has stopped a run that can go on."""
    from keras_ctxseg.cli import main as ctxseg

    folder = Path(run)
    place = [f"output_dir={folder.parent}", f"name={folder.name}"]
    if not (folder / "seconds" / "0.json").is_file():  # else it was trained elsewhere
        with _clock(folder / "seconds"):
            code = ctxseg(["train", recipe, *overrides, *place, "--resume", "auto"])
        if code:
            return code
    checkpoint = last_weights(folder)
    scores = folder / "evaluation" / "last"
    code = ctxseg(["evaluate", str(checkpoint), "--output", str(scores)])
    if not code:
        height, _, width = size.partition("x")
        facts = _facts(checkpoint, (int(height), int(width)))
        (folder / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return code


def last_weights(folder: Path) -> Path:
    """The checkpoint with the weights of the last step, averaged ones where the run averages.

    `best.keras` would be chosen on the images that it is scored on.

    Raises:
        ValueError: the run averages and has validated more than once; then no file holds them.
    """
    from keras_ctxseg.runs.checkpoint import read_state
    from keras_ctxseg.runs.config_file import load_config
    from keras_ctxseg.runs.run_directory import RunDirectory

    directory = RunDirectory(folder)
    if load_config(directory.config).training.ema_momentum is None:
        return directory.last
    if read_state(directory.best).step != read_state(directory.last).step:
        raise ValueError(
            f"{directory.best}: expected the weights of the last step. It holds those of an "
            "earlier one: give the recipe training.validate_every >= training.epochs"
        )
    return directory.best


@contextmanager
def _clock(folder: Path):
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / f"{time.time_ns()}.json"
    began, cpu_before = time.perf_counter(), time.process_time()

    def write():
        spent = {
            "clock": time.perf_counter() - began,
            "processor": time.process_time() - cpu_before,
        }
        note.write_text(json.dumps(spent) + "\n", encoding="utf-8")

    stop, parent = threading.Event(), os.getppid()

    def watch():
        alone = False
        while not stop.wait(EVERY):
            write()
            if os.getppid() != parent and not alone:
                alone = True
                os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        write()


def _facts(checkpoint: Path, size: tuple[int, int]) -> dict:
    from importlib import metadata

    from keras_ctxseg.benchmark import count_multiply_adds
    from keras_ctxseg.benchmark.results import machine
    from keras_ctxseg.runs.checkpoint import load_checkpoint

    model = load_checkpoint(checkpoint)
    counted = count_multiply_adds(
        lambda images, training=False: model(images, training=training)["logits"], size
    )
    return {
        "parameters": model.count_params(),
        "multiply_adds": counted.total,
        "size": list(size),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in ("keras", "tensorflow")},
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
