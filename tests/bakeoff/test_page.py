"""The page's figures are those of the kept runs; what is missing is said to be."""

import dataclasses
import json

import numpy as np
import pytest

from keras_ctxseg.metrics import resample_images
from tests.bakeoff.conftest import mean_iou


def _matrices(rng, right):
    """Six images, three classes of 300 pixels each, of which about the share `right` is right."""
    hits = (300 * (right + rng.uniform(-0.05, 0.05, (6, 3)))).astype(int)
    first = rng.binomial(300 - hits, 0.5)
    matrices = np.zeros((6, 3, 3), int)
    for label in range(3):
        matrices[:, label, label] = hits[:, label]
        matrices[:, label, label - 1] = first[:, label]
        matrices[:, label, label - 2] = 300 - hits[:, label] - first[:, label]
    return matrices


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("Words.\n\n<!-- begin shapes -->\nold\n<!-- end shapes -->\n\nMore words.\n")
    return path


def _cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def _score_rows(text):
    rows = [_cells(line) for line in text.splitlines() if line.startswith("| `")]
    return [row for row in rows if len(row) == 10]


def test_scores_pairs_and_what_is_missing(rng, plan, keep_made_up, page, tmp_path):
    from bakeoff_parts.page import rebuild

    plain0, plain1, wide0, _ = plan.jobs
    good, better, best = (_matrices(rng, right) for right in (0.5, 0.55, 0.8))
    keep_made_up(plain0, good, giga=0.5, parameters=1234, minutes=3)
    keep_made_up(plain1, better, giga=0.5, parameters=1234, minutes=5)
    keep_made_up(wide0, best, giga=2.0, parameters=99999, minutes=7.6)
    rebuild(plan, tmp_path / "kept", page)
    text = page.read_text()
    assert text.startswith("Words.\n\n<!-- begin shapes -->\n")
    assert text.endswith("<!-- end shapes -->\n\nMore words.\n") and "old" not in text
    assert "All runs of the plan are in." in text
    lines = text.splitlines()
    rows = _score_rows(text)
    first, second = 100 * mean_iou(good), 100 * mean_iou(better)
    assert rows[0][:3] == ["`wide`", "1", f"{100 * mean_iou(best):.1f}"]
    assert rows[0][4:] == ["-", "99,999", "2", "-", "-", "8"]
    assert rows[1][:3] == ["`plain`", "2", f"{(first + second) / 2:.1f}"]
    deviation = abs(second - first) / np.sqrt(2)
    assert rows[1][4:7] == [f"{deviation:.1f}", "1,234", "0.5"]
    assert rows[1][-1] == "4"
    low, high = map(float, rows[1][3].split(" to "))
    assert low < (first + second) / 2 < high
    (pair,) = [_cells(line) for line in lines if line.startswith("| does width help")]
    gain = 100 * mean_iou(best) - (first + second) / 2
    assert pair[1:4] == ["`wide` − `plain`", "1, 2", f"{gain:+.1f}"]
    low, high = map(float, pair[4].split(" to "))
    assert 0 < low < gain < high and pair[5] == "better, in one run"
    assert f"The highest mean: `wide` ({100 * mean_iou(best):.1f} %, 2 GMAC)." in text
    small = f"`plain` ({(first + second) / 2:.1f} %, 0.5 GMAC); `wide`"
    assert f"from small to large: {small}" in text
    assert (tmp_path / "kept" / "shapes.svg").read_text().count("wide") > 0
    again = page.read_text(), (tmp_path / "kept" / "shapes.svg").read_bytes()
    rebuild(plan, tmp_path / "kept", page)
    assert (page.read_text(), (tmp_path / "kept" / "shapes.svg").read_bytes()) == again


def test_times_of_another_processor_are_marked(rng, plan, keep_made_up):
    from bakeoff_parts.systems import Time, gather
    from bakeoff_parts.tables import score_table

    plain0, plain1, wide0, _ = plan.jobs
    keep_made_up(plain0, _matrices(rng, 0.5), minutes=3, processor="slow")
    keep_made_up(plain1, _matrices(rng, 0.5), minutes=1, processor="quick")
    kept = keep_made_up(wide0, _matrices(rng, 0.8), minutes=5, processor="slow")
    root = kept.folder.parents[2]
    timed = {"forms": {form: {"minimum": 0.01} for form in ("keras", "saved_model")}}
    for recipe, processor in (("plain", "slow"), ("wide", "quick")):
        speed = {**timed, "machine": {"processor": processor}}
        (root / "shapes" / recipe / "speed.json").write_text(json.dumps(speed))
    plain, wide = gather(plan, "shapes", root).systems
    assert (plain.minutes, wide.minutes) == (Time(3, "slow"), Time(5, "slow"))
    assert (plain.milliseconds("keras"), wide.milliseconds("keras")) == (
        Time(10, "slow"),
        Time(10, "quick"),
    )
    results = gather(plan, "shapes", root)
    assert results.milliseconds("keras") == {}
    table = score_table(results)
    assert {row[0]: row[-3:] for row in _score_rows(table)} == {
        "`wide`": ["10.0", "10.0", "5"],
        "`plain`": ["10.0 †", "10.0 †", "3"],
    }
    assert table.endswith("\n\nMilliseconds: quick, † slow. Minutes: slow.")


def test_a_question_is_answered_run_by_run(rng, plan, keep_made_up):
    from bakeoff_parts.systems import gather
    from bakeoff_parts.tables import question_table

    plain0, plain1, wide0, _ = plan.jobs
    keep_made_up(plain0, _matrices(rng, 0.5), class_iou=[0.75, 0.8, 0.74])
    keep_made_up(plain1, _matrices(rng, 0.5), class_iou=[0.9, 0.9, 0.2])
    kept = keep_made_up(wide0, _matrices(rng, 0.8), class_iou=[None, 0.9, 0.9])
    results = gather(plan, "shapes", kept.folder.parents[2])
    lines = question_table(results, plan.data["shapes"]).splitlines()
    assert _cells(lines[0])[1:] == ["class 0 from class 1", "class 1 from class 2"]
    assert [_cells(line) for line in lines[2:]] == [
        ["`wide`", "0 of 1", "1 of 1"],
        ["`plain`", "2 of 2", "0 of 2"],
    ]
    assert question_table(results, plan.data["words"]) == ""


def test_a_system_that_loses_is_said_to(rng, plan, keep_made_up):
    from bakeoff_parts.systems import gather
    from bakeoff_parts.tables import advice, pair_table, verdict

    kept = keep_made_up(plan.jobs[0], good := _matrices(rng, 0.8))
    keep_made_up(plan.jobs[2], worse := _matrices(rng, 0.5), giga=4.0)
    results = gather(plan, "shapes", kept.folder.parents[2])
    gain = results.differences["plain", "wide"]
    assert gain.value == pytest.approx(mean_iou(worse) - mean_iou(good))
    back = results.differences["wide", "plain"]
    assert (back.value, back.low, back.high) == (-gain.value, -gain.high, -gain.low)
    assert verdict(gain, runs=2) == "**worse**" and verdict(back, runs=3) == "better"
    assert "| **worse**, in one run |" in pair_table(results, plan.data["shapes"])
    # Dearer and worse: nobody should pick it.
    assert "`wide`" not in advice(results)


def test_equal_systems_are_not_told_apart(rng, plan, keep_made_up):
    from bakeoff_parts.systems import gather
    from bakeoff_parts.tables import advice, pair_table

    matrices = _matrices(rng, 0.7)
    kept = keep_made_up(plan.jobs[0], matrices, giga=0.5)
    swapped = matrices.copy()
    swapped[0, 0] = swapped[0, 0, [0, 2, 1]]  # as many right, other mistakes
    keep_made_up(plan.jobs[2], swapped, giga=4.0)
    results = gather(plan, "shapes", kept.folder.parents[2])
    assert "not told apart" in pair_table(results, plan.data["shapes"])
    assert "The least arithmetic among the 2" in advice(results)


@pytest.mark.parametrize("block", [1, 3])
def test_runs_of_an_older_recipe_do_not_count(rng, plan, keep_made_up, page, tmp_path, block):
    from bakeoff_parts.page import rebuild

    shapes = dataclasses.replace(plan.data["shapes"], block=block)
    plan = dataclasses.replace(plan, data={**plan.data, "shapes": shapes})
    _, plain1, wide0, _ = plan.jobs
    keep_made_up(plain1, only := _matrices(rng, 0.7))
    recipe = plan.recipe(wide0)
    keep_made_up(wide0, _matrices(rng, 0.7))
    recipe.write_text(recipe.read_text().replace("filters: 12", "filters: 13"))
    rebuild(plan, tmp_path / "kept", page)
    text = page.read_text()
    assert "**Not run yet:** `plain`, `wide` (seed 0)." in text
    assert "not run yet |" in text
    (row,) = _score_rows(text)
    draws = resample_images(6, resamples=2000, block=block)
    means = [mean_iou(np.repeat(only, draw, axis=0)) for draw in draws]
    low, high = np.percentile(means, [2.5, 97.5])
    assert row[3] == f"{100 * low:.1f} to {100 * high:.1f}"


def test_a_block_without_a_data_set_is_refused(plan, page, tmp_path):
    from bakeoff_parts.page import rebuild

    page.write_text("<!-- begin cats -->\n<!-- end cats -->\n")
    with pytest.raises(ValueError, match=r"shapes, words. Found cats"):
        rebuild(plan, tmp_path, page)
