"""Processor, memory and disk, as this process may use them."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keras_ctxseg.doctor.finding import Finding

GIB = 1 << 30
LITTLE_MEMORY = 2 * GIB
LITTLE_DISK = 2 * GIB


def examine_machine(root: Path = Path("/"), folder: Path = Path()) -> Iterator[Finding]:
    """Processor, memory, disk.

    Args:
        root: of the file system that holds /proc and /sys.
        folder: where runs will be written.
    """
    yield Finding("machine", "system", "ok", f"{platform.system()} {platform.machine()}")
    yield _processor(root)
    yield _cores(root)
    yield _memory(root)
    data = Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    places = {
        "disk for runs": folder,
        "disk for data": data,
        "disk for scratch": Path(tempfile.gettempdir()),
    }
    for name, place in places.items():
        yield _disk(name, place)


def _processor(root: Path) -> Finding:
    model, flags = platform.machine(), None
    for line in _lines(root / "proc/cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            model = value.strip()
        elif key.strip() == "flags":
            flags = set(value.split())
            break
    if flags is None:
        return Finding("machine", "processor", "ok", model)
    if "avx" not in flags:
        return Finding(
            "machine", "processor", "broken", f"{model}, without AVX",
            "TensorFlow's wheels stop with an illegal instruction here: build TensorFlow for this "
            "processor, or take another machine",
        )  # fmt: skip
    missing = sorted({"avx2", "fma"} - flags)
    if missing:
        return Finding(
            "machine", "processor", "warning", f"{model}, without {', '.join(missing)}",
            "convolutions run at a fraction of what newer processors reach",
        )  # fmt: skip
    return Finding("machine", "processor", "ok", model)


def _cores(root: Path) -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _first_line(root / "sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdigit():
        allowed = int(quota[0]) / int(quota[1])
        if cores is not None and allowed < cores - 0.5:
            return Finding(
                "machine", "cores", "warning", f"{cores}, of which the container gets {allowed:g}",
                f"TensorFlow starts a thread for each: set "
                f"TF_NUM_INTRAOP_THREADS={max(round(allowed), 1)}",
            )  # fmt: skip
    return Finding("machine", "cores", "ok", f"{cores}")


def _memory(root: Path) -> Finding:
    sizes = {}
    for line in _lines(root / "proc/meminfo"):
        key, _, value = line.partition(":")
        sizes[key] = int(value.split()[0]) * 1024
    if "MemTotal" not in sizes:
        return Finding("machine", "memory", "ok", "unknown")
    total, free = sizes["MemTotal"], sizes.get("MemAvailable", sizes["MemTotal"])
    limit = _first_line(root / "sys/fs/cgroup/memory.max")
    if limit.isdigit():
        used = _first_line(root / "sys/fs/cgroup/memory.current")
        total = min(total, int(limit))
        free = min(free, int(limit) - (int(used) if used.isdigit() else 0))
    found = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free >= LITTLE_MEMORY:
        return Finding("machine", "memory", "ok", found)
    return Finding(
        "machine", "memory", "warning", found,
        "smaller training.batch_size and augmentation.crop_size, data.cache=false, or "
        "training.accumulate_steps",
    )  # fmt: skip


def _disk(name: str, place: Path) -> Finding:
    place = place.absolute()
    existing = next(path for path in (place, *place.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / GIB:.1f} GiB free in {existing}"
    if not os.access(existing, os.W_OK):
        return Finding(
            "machine", name, "warning", f"{existing} cannot be written",
            "choose another: output_dir for runs, TFDS_DATA_DIR for data, TMPDIR for scratch",
        )  # fmt: skip
    if free < LITTLE_DISK:
        return Finding(
            "machine", name, "warning", found,
            "a run keeps training.keep_checkpoints + 1 checkpoints, each about three times the "
            "weights; make room, or choose another folder",
        )  # fmt: skip
    return Finding("machine", name, "ok", found)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "").strip()
