"""Trains with several worker processes on this machine, to try out multi-worker training.

    python scripts/launch_local_workers.py 2 configs/camvid/ksac_mobilenet_v2.yaml training.steps=20

Each worker runs `ctxseg train` with the arguments that follow their number, `training.strategy` set
to multi_worker, and finds the others on free ports of 127.0.0.1. Each line of output says whose it
is. Where a worker fails, the others are stopped, and its exit code is this script's. Ctrl-C and
SIGTERM are passed on to all, which save and exit.

GPUs, if there are any, are dealt out one by one: `--gpus-per-worker N` gives each worker N of
those that CUDA_VISIBLE_DEVICES names.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

TRAIN = (sys.executable, "-m", "keras_ctxseg.cli", "train")
GRACE_SECONDS = 60.0  # To save and exit, once asked to.


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def start(count: int, command: Sequence[str], gpus_per_worker: int = 0) -> list[subprocess.Popen]:
    """Starts the workers; what each says, errors included, is one pipe."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    gpus = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    workers = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        environment = {**os.environ, "TF_CONFIG": config, "PYTHONUNBUFFERED": "1"}
        if gpus_per_worker:
            own = gpus[index * gpus_per_worker : (index + 1) * gpus_per_worker]
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(own)
        workers.append(
            subprocess.Popen(
                list(command),
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C comes to this process, which passes it on once.
            )
        )
    return workers


def wait(workers: Sequence[subprocess.Popen], asked: threading.Event) -> int:
    """Waits for all; after the first failure stops the others.

    Args:
        workers: from `start`.
        asked: set once all were asked to end, which they then do in their own time.

    Returns:
        0, or the exit code of the worker that failed first; 128 + n for one that signal n killed.
    """
    code = 0
    while any(worker.poll() is None for worker in workers):
        failed = [worker.returncode for worker in workers if worker.poll() not in (None, 0)]
        if failed and not asked.is_set():
            code = failed[0]
            print(f"launcher  a worker ended with {code}; stopping the others", flush=True)
            stop(workers)
            break
        time.sleep(0.2)
    codes = [code, *(worker.wait() for worker in workers)]
    code = next((one for one in codes if one), 0)
    return code if code >= 0 else 128 - code


def send(workers: Sequence[subprocess.Popen], number: int) -> None:
    """Sends a signal to the workers that are still there."""
    for worker in workers:
        if worker.poll() is None:
            worker.send_signal(number)


def stop(workers: Sequence[subprocess.Popen]) -> None:
    """Asks all workers to end, and kills those that have not after a minute."""
    send(workers, signal.SIGTERM)
    end = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        try:
            worker.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()


def main(argv: Sequence[str] | None = None, command: Sequence[str] = TRAIN) -> int:
    """Trains with several workers.

    Args:
        argv: the words of the command line.
        command: what each worker runs, before the words that are passed on.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        usage="%(prog)s [options] N CONFIG [key=value ...]",
    )
    parser.add_argument("workers", type=int, metavar="N", help="number of worker processes")
    parser.add_argument("--gpus-per-worker", type=int, default=0, metavar="N")
    own, arguments = parser.parse_known_args(argv)
    if own.workers < 1 or not arguments:
        parser.error("expected a number of workers and the arguments of `ctxseg train`")
    if not any(word.startswith("training.strategy=") for word in arguments):
        arguments.append("training.strategy=multi_worker")
    workers = start(own.workers, [*command, *arguments], own.gpus_per_worker)
    threads = [
        threading.Thread(target=_print_lines, args=(index, worker), daemon=True)
        for index, worker in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    asked = threading.Event()

    def pass_on(number, _frame):
        asked.set()
        send(workers, number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    code = wait(workers, asked)
    for thread in threads:
        thread.join()
    return code


def _print_lines(index: int, worker: subprocess.Popen) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        print(f"worker {index}  {line.rstrip()}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
