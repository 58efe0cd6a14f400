"""Measurements as tables and as a file with everything that a figure needs to count."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from keras_ctxseg.benchmark.side_by_side import Measurement

HEADINGS = (
    "",
    "parameters",
    "GMAC",
    "of them run",
    "min ms",
    "p50",
    "p90",
    "p99",
    "images/s",
    "of the product's rate",
    "memory MiB",
    "ratio",
)


def machine() -> dict:
    """Processor, cores, memory, system and Python of this machine."""
    facts = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    for path, key, name in (
        ("/proc/cpuinfo", "model name", "processor"),
        ("/proc/meminfo", "MemTotal", "memory"),
    ):
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except OSError:  # not Linux
            continue
        found = [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
        facts |= {name: found[0]} if found else {}
    return facts


def results(
    measurements: Sequence[Measurement],
    rate: float,
    command: str,
    mean_iou: Mapping[str, float] | None = None,
) -> dict:
    """Everything about one run, as JSON takes it.

    Args:
        measurements: of one run.
        rate: multiply-adds a second of the matrix product in it.
        command: that made it.
        mean_iou: by name of a model, where it is known.
    """
    versions: dict = {}
    for measurement in measurements:
        versions |= measurement.facts.get("versions", {})
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": dict(sorted(versions.items())),
        "matrix_product_gflops": 2e-9 * rate,
        "subjects": [
            asdict(measurement.subject)
            | _figures(measurement, measurements[0], rate)
            | {"mean_iou": (mean_iou or {}).get(measurement.subject.name)}
            for measurement in measurements
        ],
    }


def save(found: Mapping, path: str | Path) -> Path:
    """Writes `results` as JSON."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return path


def table(found: Mapping, markdown: bool = False) -> str:
    """The subjects of `results`, a line each; ratios are of the fastest calls, to the first."""
    rows = [HEADINGS, *(_row(subject) for subject in found["subjects"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        [cell.ljust(width) if column == 0 else cell.rjust(width)
         for column, (cell, width) in enumerate(zip(row, widths, strict=True))]
        for row in rows
    ]  # fmt: skip
    if not markdown:
        return "\n".join("  ".join(line) for line in lines)
    lines.insert(1, ["---", *(["---:"] * (len(HEADINGS) - 1))])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def caption(found: Mapping) -> str:
    """Command, machine, versions and the matrix product's rate, in two lines."""
    facts, versions = found["machine"], found["versions"]
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{facts['processor']}, {facts['cores']} cores, Python {facts['python']}, {names}\n"
        f"float32 matrix product of 2048: {found['matrix_product_gflops']:.0f} GFLOP/s"
    )


def _figures(measurement: Measurement, first: Measurement, rate: float) -> dict:
    latency, facts = measurement.latency, measurement.facts
    return {
        "title": measurement.subject.title,
        "parameters": facts.get("parameters"),
        "multiply_adds": facts.get("multiply_adds"),
        "multiply_adds_run": facts.get("multiply_adds_run"),
        "bytes": facts.get("bytes"),
        "seconds": list(latency.seconds),
        "minimum": latency.minimum,
        "percentiles": {str(p): latency.percentile(p) for p in (50, 90, 99)},
        "images_per_second": measurement.subject.images / latency.minimum,
        "share": measurement.share(rate),
        "memory": measurement.memory,
        "first_takes": first.latency.minimum / latency.minimum,
    }


def _row(subject: Mapping) -> tuple[str, ...]:
    def giga(value):
        return "" if value is None else f"{value / 1e9:.1f}"

    milliseconds = [subject["minimum"], *subject["percentiles"].values()]
    return (
        subject["title"],
        "" if subject["parameters"] is None else f"{subject['parameters']:,}",
        giga(subject["multiply_adds"]),
        giga(subject["multiply_adds_run"]),
        *(f"{1e3 * value:.1f}" for value in milliseconds),
        f"{subject['images_per_second']:.2f}",
        "" if subject["share"] is None else f"{subject['share']:.0%}",
        f"{subject['memory'] / 2**20:.0f}",
        f"{subject['first_takes']:.3f}",
    )
