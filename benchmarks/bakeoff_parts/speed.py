"""Latency of each recipe's network, as Keras runs it and as exported, taken in turns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bakeoff_parts.plan import Job, Plan
from keras_ctxseg.benchmark.results import machine
from keras_ctxseg.benchmark.side_by_side import Measurement, measure_side_by_side
from keras_ctxseg.benchmark.subject import Subject

FORMS = ("keras", "saved_model")


def measure(
    plan: Plan,
    recipes: Sequence[tuple[str, str]],
    kept: Path,
    exports: Path,
    at_once: int,
    repeats: int,
    num_classes: int | None = None,
) -> None:
    """Times the recipes that have no `speed.json` yet, in groups; each group is kept when it ends.

    Latency depends on the network, not on its weights: they are random ones.

    Args:
        plan: of the recipes.
        recipes: (data, recipe).
        kept: folder of what is kept; of each recipe one finished run tells the number of classes.
        exports: folder of exported networks, which are used again.
        at_once: recipes that take turns.
        repeats: timed calls of each.
        num_classes: instead of what a finished run says.
    """
    waiting = []
    for data, recipe in recipes:
        folder = kept / data / recipe
        scores = sorted(folder.glob("seed*/scores.json"))
        if (folder / "speed.json").is_file() or not (scores or num_classes):
            continue
        classes = num_classes or len(json.loads(scores[0].read_text("utf-8"))["classes"])
        waiting.append((folder, _subjects(plan, data, recipe, classes)))
    for start in range(0, len(waiting), at_once):
        group = waiting[start : start + at_once]
        subjects = [subject for _, each in group for subject in each]
        measured, rate = measure_side_by_side(subjects, repeats, folder=exports)
        for place, (folder, each) in enumerate(group):
            own = measured[place * len(each) : (place + 1) * len(each)]
            found = {
                "date": datetime.now(UTC).date().isoformat(),
                "machine": machine(),
                "matrix_product_gflops": 2e-9 * rate,
                "size": list(each[0].size),
                "forms": {one.subject.form: _figures(one) for one in own},
            }
            (folder / "speed.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def _subjects(plan: Plan, data: str, recipe: str, classes: int) -> list[Subject]:
    model = plan.config(Job(data, recipe, 0)).model
    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in model.options.items()
    }
    size = plan.data[data].size
    return [Subject("ctxseg", form, model.name, options, size, classes) for form in FORMS]


def _figures(one: Measurement) -> dict:
    latency = one.latency
    return {
        "minimum": latency.minimum,
        "median": latency.median,
        "calls": len(latency.seconds),
        "parameters": one.facts["parameters"],
    }
