"""Plants one fault at a time in a copy of the package, and asks the tests whether they see it.

    python scripts/planted_faults.py                 # all faults, two at a time
    python scripts/planted_faults.py --list          # their names
    python scripts/planted_faults.py '*label*' -j 1  # some of them

First the tests run without a fault, so that a test which fails anyway proves nothing. A fault is
found where a test fails, errors, or does not end in time. The exit code is 0 where at least 95 %
are found.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
FAULTS = Path(__file__).with_suffix(".yaml")
LINKED = ("benchmarks", "configs", "docs", "saved_models", "scripts", "pyproject.toml", "README.md")
TIME_LIMIT = 1200
WANTED = 0.95


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["*"], help="patterns of names (default: all)")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="faults at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--no-control", action="store_true", help="skip the run without a fault")
    arguments = parser.parse_args()
    known = yaml.safe_load(FAULTS.read_text(encoding="utf-8"))
    faults = [
        fault
        for fault in known
        if any(fnmatch.fnmatch(fault["name"], pattern) for pattern in arguments.names)
    ]
    for fault in faults:
        planted(fault)  # Whether each still fits the source.
    if arguments.list:
        print("\n".join(f"{fault['name']:34} {fault['file']}" for fault in faults))
        return 0
    with tempfile.TemporaryDirectory(prefix="planted-faults-") as temporary:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(arguments.jobs):
            copies.put(copy_of_package(Path(temporary) / str(number)))
        if not arguments.no_control:
            control(copies.queue[0], faults)
        missed = plant_all(faults, copies, arguments.jobs)
    found = len(faults) - len(missed)
    print(f"\n{found} of {len(faults)} faults found ({found / len(faults):.0%})")
    if missed:
        print("Missed: " + ", ".join(missed))
    return int(found < WANTED * len(faults))


def planted(fault: dict) -> str:
    """The text of the file with the fault in it."""
    file = ROOT / "keras_ctxseg" / fault["file"]
    source = file.read_text(encoding="utf-8")
    if source.count(fault["from"]) != 1:
        raise SystemExit(
            f"{fault['name']}: expected {fault['from']!r} once in {file}. "
            f"Found it {source.count(fault['from'])} times."
        )
    return source.replace(fault["from"], fault["to"])


def copy_of_package(folder: Path) -> Path:
    """A folder with a package and tests of its own, and links to all else that tests read."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("keras_ctxseg", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    return folder


def control(copy: Path, faults: list[dict]) -> None:
    """Ends the script where the tests do not pass without a fault."""
    tests = sorted({test for fault in faults for test in fault["tests"].split()})
    code, seconds, output = run_tests(copy, tests, stop_at_first=False, time_limit=None)
    if code != 0:
        raise SystemExit(f"{output[-3000:]}\nThe tests fail without a fault.")
    print(f"Without a fault all tests pass ({seconds:.0f} s)", flush=True)


def plant_all(faults: list[dict], copies: "queue.Queue[Path]", jobs: int) -> list[str]:
    """Plants every fault; returns the names of those that no test saw."""

    def attempt(fault: dict) -> tuple[int | None, float, str]:
        copy = copies.get()
        file = copy / "keras_ctxseg" / fault["file"]
        try:
            file.write_text(planted(fault), encoding="utf-8")
            return run_tests(copy, fault["tests"].split())
        finally:
            shutil.copy2(ROOT / "keras_ctxseg" / fault["file"], file)
            copies.put(copy)

    missed = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        results = zip(faults, pool.map(attempt, faults), strict=True)
        for number, (fault, (code, seconds, output)) in enumerate(results, 1):
            if code not in (None, 0, 1, 2):
                raise SystemExit(f"{output[-3000:]}\n{fault['name']}: pytest ended with {code}.")
            verdict = {None: "found (no end)", 0: "MISSED"}.get(code, "found")
            print(
                f"{number:3}/{len(faults)} {verdict:15}{fault['name']} ({seconds:.0f} s)",
                flush=True,
            )
            if code == 0:
                missed.append(fault["name"])
    return missed


def run_tests(
    copy: Path, tests: list[str], stop_at_first: bool = True, time_limit: int | None = TIME_LIMIT
) -> tuple[int | None, float, str]:
    """Pytest's exit code (None: no end in time), seconds, and what it printed."""
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "not whole", *tests]
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, "-x"] if stop_at_first else command,
            cwd=copy,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=time_limit,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return None, time.perf_counter() - began, ""
    return done.returncode, time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    sys.exit(main())
