"""Processes of a test: one alone, or several workers that find each other on the loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 900  # Only against hanging for ever; nothing is timed.


def free_ports(count):
    """Ports that nobody listens on; all are held until all are found."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()


def environment(**extra):
    """This process' environment without what another launcher might have left, one thread each."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "TF_CONFIG" and not name.startswith(("SLURM_", "PYTEST_XDIST"))
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "-1",
        **extra,
    }


def run_one(script, *arguments, **extra):
    """Runs a script to its end; its standard output. What it said stands in the error, if any."""
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        env=environment(**extra),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_workers(script, arguments_of_each):
    """Runs one process for each list of arguments, as the workers of one cluster.

    TensorFlow itself has crashed where several workers evaluate, twice in some dozens of runs and
    for no reason that could be found: such a crash, and nothing else, is warned of and tried again.
    """
    codes, said = _run_cluster(script, arguments_of_each)
    if -signal.SIGSEGV in codes:
        warnings.warn("TensorFlow crashed in a worker:\n" + "\n".join(said), stacklevel=2)
        codes, said = _run_cluster(script, arguments_of_each)
    assert codes == [0] * len(codes), "\n".join([f"exit codes {codes}", *said])
    return said


def _run_cluster(script, arguments_of_each):
    """Exit code and output of each worker."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(arguments_of_each))]
    workers = []
    for index, arguments in enumerate(arguments_of_each):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        workers.append(
            subprocess.Popen(
                [sys.executable, str(script), *map(str, arguments)],
                env=environment(TF_CONFIG=json.dumps(config)),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        said = [worker.communicate(timeout=TIMEOUT)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [worker.returncode for worker in workers], said
