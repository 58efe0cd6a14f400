"""Several subjects timed in turns, each in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_ctxseg.benchmark.latency import Latency
from keras_ctxseg.benchmark.subject import Subject

FLOOR = Subject("floor", "matrix-product")


@dataclass(frozen=True)
class Measurement:
    """What one subject took.

    Attributes:
        subject: what was measured.
        latency: seconds of each call.
        facts: what the process said of itself: `parameters`, `multiply_adds` (as specified) and
            `multiply_adds_run`, `bytes` of an exported file, `versions`; where known.
        memory: bytes that the process held at its highest during the timed calls, beyond what it
            held with the model loaded and not yet run.
    """

    subject: Subject
    latency: Latency
    facts: Mapping
    memory: int

    def share(self, rate: float) -> float | None:
        """Of the multiply-adds a second that a matrix product reaches; training is not told."""
        counted = self.facts.get("multiply_adds")
        if counted is None or self.subject.form == "training":
            return None
        return counted / self.latency.minimum / rate


def measure_side_by_side(
    subjects: Iterable[Subject],
    repeats: int = 20,
    warmup: int = 2,
    folder: str | Path | None = None,
    threads: int | None = None,
    progress: bool = True,
) -> tuple[list[Measurement], float]:
    """Times subjects in turns (A B A B ...) with a large matrix product among them.

    Each lives in a process of its own, so that frameworks which cannot meet can be compared and
    each one's memory is its own; only one of them works at a time.

    Args:
        subjects: what to measure.
        repeats: timed calls of each.
        warmup: untimed calls of each before those.
        folder: where exported models are kept, and taken from if they are there; a temporary folder
            if not given.
        threads: of each process's operations; by default as many as there are processors.
        progress: whether to show a bar.

    Returns:
        The measurements in order, and the multiply-adds a second of the matrix product.

    Raises:
        ValueError: a subject that cannot be built, with the reason.
    """
    from tqdm import tqdm

    subjects = list(subjects)
    if repeats < 1:
        raise ValueError(f"repeats: expected at least 1. Received {repeats!r}.")
    with tempfile.TemporaryDirectory(prefix="ctxseg-benchmark-") as temporary:
        workers: list[_Worker] = []
        bar = tqdm(total=len(subjects) + warmup + repeats, disable=not progress, leave=False)
        try:
            for subject in [FLOOR, *subjects]:
                bar.set_description(f"building {subject.title}"[:60])
                exported = subject.exported(Path(folder or temporary))
                if exported is not None and not exported.with_suffix(".json").exists():
                    # By another process, whose memory is not that of the calls.
                    _Worker(subject, Path(folder or temporary), threads).end()
                workers.append(_Worker(subject, Path(folder or temporary), threads))
                bar.update(subject is not FLOOR)
            bar.set_description("measuring")
            seconds: list[list[float]] = [[] for _ in workers]
            for turn in range(warmup + repeats):
                if turn == warmup:
                    for worker in workers:
                        worker.ask("reset")
                for times, worker in zip(seconds, workers, strict=True):
                    answer = worker.ask("run")["seconds"]
                    if turn >= warmup:
                        times.append(answer)
                bar.update()
            memory = [worker.ask("stop")["memory"] for worker in workers]
        finally:
            bar.close()
            for worker in workers:
                worker.end()
    floor, *others = (
        Measurement(worker.subject, Latency(tuple(times)), worker.facts, used)
        for worker, times, used in zip(workers, seconds, memory, strict=True)
    )
    return others, floor.facts["multiply_adds"] / floor.latency.minimum


class _Worker:
    """A process of `worker.py`; it answers each line with a line of JSON."""

    def __init__(self, subject: Subject, folder: Path, threads: int | None):
        self.subject = subject
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `end`
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        if threads:
            environment |= {"TF_NUM_INTRAOP_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        # The package as found here, also where it is not installed.
        root = str(Path(__file__).parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [root, environment.get("PYTHONPATH")])
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keras_ctxseg.benchmark.worker"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )
        try:
            request = {"subject": subject.to_json(), "folder": str(folder), "threads": threads}
            self.facts = self.ask(json.dumps(request))
        except BaseException:
            self.end()
            raise

    def ask(self, line: str) -> dict:
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise ValueError(f"cannot measure {self.subject.title}: {self._last_words()}")
        result = json.loads(answer)
        if "error" in result:
            raise ValueError(f"cannot measure {self.subject.title}: {result['error']}")
        return result

    def _last_words(self) -> str:
        self._process.wait()
        self._said.seek(0)
        lines = self._said.read().strip().splitlines()
        return lines[-1] if lines else f"its process ended with {self._process.returncode}"

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                stream.close()
