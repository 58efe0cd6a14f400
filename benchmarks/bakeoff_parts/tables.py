"""Results as Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from bakeoff_parts.plan import DataSet
from bakeoff_parts.systems import Results, System, Time
from keras_ctxseg.evaluation.comparison import Estimate

TOLD = 0.75
"""From this IoU on, a class that looks like another one has been told from it."""


def score_table(results: Results) -> str:
    """One line for each system, the best first, and under it whose times they are."""
    ordered = by_score(results)
    forms = [[one.milliseconds(form) for one in ordered] for form in ("keras", "saved_model")]
    latency_mark, latency_legend = _marks("Milliseconds", [*forms[0], *forms[1]])
    minutes_mark, minutes_legend = _marks("Minutes", [one.minutes for one in ordered])
    head = ["recipe", "runs", "mIoU", "95 % interval", "deviation", "parameters", "GMAC",
            "Keras ms", "exported ms", "processor minutes"]  # fmt: skip
    rows = []
    for one, *milliseconds in zip(ordered, *forms, strict=True):
        score = results.scores[one.recipe]
        rows.append(
            [
                f"`{one.recipe}`",
                str(len(one.scores)),
                f"{100 * score.mean.value:.1f}",
                # Widened for few seeds, an interval may leave the scale.
                f"{max(0, 100 * score.mean.low):.1f} to {min(100, 100 * score.mean.high):.1f}",
                _number(100 * score.spread),
                f"{one.outcomes[0]['parameters']:,}",
                f"{one.giga:.3g}",
                *(
                    f"{time.value:.1f}{latency_mark[time.processor]}" if time else "-"
                    for time in milliseconds
                ),
                f"{one.minutes.value:.0f}{minutes_mark[one.minutes.processor]}",
            ]
        )
    return f"{_table(head, rows)}\n\n{' '.join([*latency_legend, *minutes_legend])}"


def _marks(what: str, times: Sequence[Time | None]) -> tuple[dict[str, str], list[str]]:
    """By processor, what marks its times: most bear no mark. With the sentence that says so."""
    counted = Counter(time.processor for time in times if time)
    names = [name for name, _ in counted.most_common()]
    marks = {name: f" {'†' * place}".rstrip() for place, name in enumerate(names)}
    parts = [f"{marks[name].strip()} {name}".strip() for name in names]
    return marks, [f"{what}: {', '.join(parts)}."] if parts else []


def pair_table(results: Results, data: DataSet) -> str:
    """The plan's pairs as far as both sides have runs; what is missing says so."""
    runs = {one.recipe: len(one.scores) for one in results.systems}
    rows = []
    for pair in data.pairs:
        gain = results.differences.get((pair.baseline, pair.other))
        names = f"`{pair.other}` − `{pair.baseline}`"
        if gain is None:
            rows.append([pair.question, names, "", "", "", "not run yet"])
            continue
        counts = runs[pair.other], runs[pair.baseline]
        rows.append(
            [
                pair.question,
                names,
                f"{counts[0]}, {counts[1]}",
                f"{100 * gain.value:+.1f}",
                f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}",
                verdict(gain, min(counts)),
            ]
        )
    return _table(["question", "pair", "runs", "mIoU", "95 % interval", ""], rows)


def question_table(results: Results, data: DataSet) -> str:
    """How many runs of each system tell the classes of each group apart."""
    if not data.questions:
        return ""
    head = [f"runs that tell, of all (IoU of each at least {100 * TOLD:.0f} %)"]
    head += [" from ".join(group).replace("_", " ") for group in data.questions]
    rows = []
    for one in by_score(results):
        counts = [
            sum(all((run[name] or 0.0) >= TOLD for name in group) for run in one.class_iou)
            for group in data.questions
        ]
        rows.append([f"`{one.recipe}`", *(f"{count} of {len(one.scores)}" for count in counts)])
    return _table(head, rows)


def class_table(results: Results) -> str:
    """IoU by class, a line for each system."""
    ordered = by_score(results)
    names = list(results.class_iou[ordered[0].recipe])
    rows = [
        [f"`{one.recipe}`", *(_number(100 * results.class_iou[one.recipe][n]) for n in names)]
        for one in ordered
    ]
    return _table(["IoU", *(name.replace("_", " ") for name in names)], rows)


def missing(results: Results) -> str:
    """What the plan asks for and is not there."""
    seeds: dict[str, list[int]] = {}
    for job in results.missing:
        seeds.setdefault(job.recipe, []).append(job.seed)
    if not seeds:
        return "All runs of the plan are in."
    recipes: dict[str, list[str]] = {}
    for recipe, numbers in seeds.items():
        word = "seed" if len(numbers) == 1 else "seeds"
        recipes.setdefault(f"{word} {', '.join(map(str, numbers))}", []).append(f"`{recipe}`")
    groups = [f"{', '.join(names)} ({which})" for which, names in recipes.items()]
    return f"**Not run yet:** {'; '.join(groups)}."


def advice(results: Results) -> str:
    """What to pick, from the figures of the tables and nothing else."""
    ordered = by_score(results)
    if len(ordered) < 2:
        return ""
    best = ordered[0]
    lines = [f"- The highest mean: {_words(results, best)}."]
    equal = [
        one
        for one in ordered
        if one is best or not results.differences[best.recipe, one.recipe].decided
    ]
    cheapest = min(equal, key=lambda one: one.giga)
    if cheapest is not best:
        lines.append(
            f"- The least arithmetic among the {len(equal)} that the intervals do not tell apart "
            f"from it: {_words(results, cheapest)}."
        )
    chain = "; ".join(_words(results, one) for one in _front(results, lambda one: one.giga))
    lines.append(
        f"- More mIoU than everything with as little arithmetic, from small to large: {chain}."
    )
    milliseconds = results.milliseconds("saved_model")
    if milliseconds:
        quick = _front(results, lambda one: milliseconds[one.recipe])
        chain = "; ".join(
            f"`{one.recipe}` ({100 * _mean(results, one):.1f} %, {milliseconds[one.recipe]:.1f} ms)"
            for one in quick
        )
        lines.append(f"- More mIoU than everything as fast, exported, from fast to slow: {chain}.")
    return "\n".join(lines)


def _front(results: Results, cost: Callable[[System], float]) -> Sequence[System]:
    """The systems that no other one beats at the same cost or less, the cheapest first."""
    return [
        one
        for one in sorted(results.systems, key=cost)
        if not any(
            cost(other) <= cost(one) and _mean(results, other) > _mean(results, one)
            for other in results.systems
            if other is not one
        )
    ]


def verdict(gain: Estimate, runs: int) -> str:
    """In words, whether the interval leaves out zero; a single run's knows no other training."""
    if not gain.decided:
        return "not told apart"
    word = "better" if gain.value > 0 else "**worse**"
    return f"{word}, in one run" if runs == 1 else word


def by_score(results: Results) -> Sequence[System]:
    """The systems, the highest mean first."""
    return sorted(results.systems, key=lambda one: -_mean(results, one))


def _mean(results: Results, one: System) -> float:
    return results.scores[one.recipe].mean.value


def _words(results: Results, one: System) -> str:
    return f"`{one.recipe}` ({100 * _mean(results, one):.1f} %, {one.giga:.3g} GMAC)"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
