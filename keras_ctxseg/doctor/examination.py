"""All that the doctor looks at."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from keras_ctxseg.doctor.finding import Finding
from keras_ctxseg.doctor.installation import examine_environment, examine_versions
from keras_ctxseg.doctor.machine import examine_machine


def examine(smoke: bool = True, litert: bool = False, folder: Path = Path()) -> list[Finding]:
    """Looks at versions, environment and machine, and takes one small training step.

    Args:
        smoke: import everything, train a step, save and load; ten seconds or more.
        litert: export to LiteRT too.
        folder: where runs will be written.
    """
    findings = [*examine_versions(), *examine_environment(), *examine_machine(folder=folder)]
    unfit = any(each.name == "processor" and each.state == "broken" for each in findings)
    if smoke and not unfit:
        findings += examine_at_work(litert)
    return findings


def examine_at_work(litert: bool = False) -> Iterator[Finding]:
    """The checks of `smoke`, in a process of their own; its death is a finding."""
    command = [sys.executable, "-m", "keras_ctxseg.doctor.smoke", *(["--litert"] if litert else [])]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    # A cluster that this process is one of would be waited for.
    environment.pop("TF_CONFIG", None)
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    begun, done = "start", False
    for line in result.stdout.splitlines():
        try:
            content = json.loads(line)
        except ValueError:  # Something that a library prints.
            continue
        if "begin" in content:
            begun, done = content["begin"], False
            continue
        done = True
        if "error" in content:
            yield Finding("smoke", content["name"], "broken", content["error"], _advice(begun))
        else:
            yield Finding("smoke", content["name"], "ok", content["found"])
        if content["name"] == "devices" and "found" in content:
            yield from _unused_gpu(content["found"])
    if not done:
        yield Finding("smoke", begun, "broken", _death(result), _advice(begun))


def _death(result: subprocess.CompletedProcess) -> str:
    last = (result.stderr.strip().splitlines() or ["nothing on standard error"])[-1]
    if result.returncode < 0:
        return f"the process was ended by {signal.Signals(-result.returncode).name}: {last}"
    return f"the process ended with code {result.returncode}: {last}"


def _advice(check: str) -> str:
    if check in ("start", "import"):
        return "install the exact set of the tests: `pip install -c constraints.txt -e .`"
    if check == "LiteRT export":
        return "`pip install -c constraints.txt ai-edge-litert tensorflow`"
    return "run `python -m keras_ctxseg.doctor.smoke` and read the whole error"


def _unused_gpu(devices: str) -> Iterator[Finding]:
    if shutil.which("nvidia-smi") and "GPU" not in devices:
        yield Finding(
            "smoke", "unused GPU", "warning", "nvidia-smi is here, but TensorFlow sees no GPU",
            "`pip install 'tensorflow[and-cuda]'` of the same version, and look at "
            "CUDA_VISIBLE_DEVICES and the driver's version",
        )  # fmt: skip
