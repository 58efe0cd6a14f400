"""Comparisons: intervals against direct loops and SciPy, coverage, groups, refusals."""

import json

import numpy as np
import pytest
import scipy.stats

from keras_ctxseg.cli import main
from keras_ctxseg.evaluation import compare, comparison_table
from keras_ctxseg.evaluation.comparison.paired import group_scores
from keras_ctxseg.evaluation.comparison.scored_run import read_scored_run
from keras_ctxseg.metrics import scores_from_confusion
from tests.evaluation.comparison.made_up_scores import (
    PROTOCOL,
    draw_confusions,
    image_iou,
    label_counts,
    write_scores,
)


def two_runs(rng, write_run, images=25, skills=(0.6, 0.7)):
    labels = label_counts(rng, images)
    confusions = [draw_confusions(rng, labels, skill, 0.1) for skill in skills]
    runs = [write_run(f"run{k}", one, recipe=f"net{k}") for k, one in enumerate(confusions)]
    return confusions, runs


def loop_scores(confusions, draw):
    total = sum(confusions[place] for place in draw)
    scores = scores_from_confusion(total)
    own = [image_iou(confusions[place]) for place in draw]
    return {
        "mean_iou": scores.mean_iou,
        "pixel_accuracy": scores.pixel_accuracy,
        "mean_accuracy": scores.mean_accuracy,
        "mean_precision": scores.mean_precision,
        "mean_f1": scores.mean_f1,
        "frequency_weighted_iou": scores.frequency_weighted_iou,
        "mean_image_iou": np.mean([iou for iou in own if iou is not None]),
    }, scores.per_class_iou


def test_resampled_differences_equal_a_direct_loop(rng, write_run):
    images, resamples = 25, 60
    confusions, runs = two_runs(rng, write_run, images)
    confusions[0][3] = confusions[1][3] = 0  # an image without a valid pixel
    runs = [write_run(f"run{k}", one, recipe=f"net{k}") for k, one in enumerate(confusions)]
    result = compare(runs, resamples=resamples, level=0.8, seed=7)

    # The draws that the documentation names: multinomial, from this seed.
    drawn = np.random.default_rng(7).multinomial(images, np.full(images, 1 / images), resamples)
    differences, classes = [], []
    for multiplicities in drawn:
        draw = np.repeat(np.arange(images), multiplicities)
        (first, first_iou), (second, second_iou) = (loop_scores(one, draw) for one in confusions)
        differences.append({key: second[key] - first[key] for key in first})
        classes.append(second_iou - first_iou)
    (pair,) = result.pairs
    everything = np.arange(images)
    for key, estimate in pair.scores.items():
        low, high = np.nanpercentile([one[key] for one in differences], [10, 90])
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-12)
        value = loop_scores(confusions[1], everything)[0][key]
        value -= loop_scores(confusions[0], everything)[0][key]
        assert estimate.value == pytest.approx(value, abs=1e-12)
    low, high = np.nanpercentile(classes, [10, 90], axis=0)
    np.testing.assert_allclose([one.low for one in pair.class_iou], low, atol=1e-12)
    np.testing.assert_allclose([one.high for one in pair.class_iou], high, atol=1e-12)


def test_intervals_agree_with_scipys_paired_bootstrap(rng, write_run):
    confusions, runs = two_runs(rng, write_run, images=40)
    result = compare(runs, resamples=4000)

    def difference(places):
        pair = (one[places].sum(axis=0) for one in confusions)
        first, second = (scores_from_confusion(matrix).mean_iou for matrix in pair)
        return second - first

    scipys = scipy.stats.bootstrap(
        (np.arange(40),), difference, n_resamples=4000, method="percentile", vectorized=False, rng=1
    ).confidence_interval
    own = result.pairs[0].scores["mean_iou"]
    # Two samples of 4000: an end's own standard error is about 3 % of the interval's width.
    assert (own.low, own.high) == pytest.approx(scipys, abs=0.12 * (scipys.high - scipys.low))


def test_pairing_narrows_the_interval(rng, write_run):
    """Two networks that find the same images hard: each score is vague, their difference is not."""
    labels = label_counts(rng, 60)
    hard = np.clip(rng.normal(0.6, 0.2, 60), 0.05, 0.9)
    confusions = [
        np.concatenate([draw_confusions(rng, labels[k : k + 1], hard[k] + gain) for k in range(60)])
        for gain in (0.0, 0.03)
    ]
    runs = [write_run(f"run{k}", one, recipe=f"net{k}") for k, one in enumerate(confusions)]
    result = compare(runs)
    first, second = (group.scores["mean_iou"] for group in result.groups)
    gain = result.pairs[0].scores["mean_iou"]
    assert first.high > second.low  # the scores alone would not tell
    assert gain.decided and result.pairs[0].verdict == "run1 beats run0"
    assert gain.high - gain.low < 0.4 * (second.high - second.low)
    assert compare(runs[::-1]).pairs[0].verdict == "run1 beats run0"


def test_equal_recipes_are_told_apart_as_rarely_as_promised(rng, tmp_path):
    """Of differences that are nothing, intervals leave out zero as often as 1 - level, about."""
    trials, wrong = 150, 0
    for trial in range(trials):
        labels = label_counts(rng, 50)
        paths = [
            write_scores(
                tmp_path / f"{trial}_{k}/scores.json", draw_confusions(rng, labels, 0.6, 0.1)
            )
            for k in range(2)
        ]
        wrong += compare(paths, resamples=300, level=0.9).pairs[0].scores["mean_iou"].decided
    # 10 % are promised; with 50 images percentile intervals are a little narrow: 12.6 % of 1000
    # trials. Binomial(150, 0.126) lies outside 8 ... 31 once in 400 times.
    assert 8 <= wrong <= 31


def test_frames_of_a_drive_need_blocks(rng, tmp_path):
    """Each of two equal networks has its good and bad stretches of road, some ten frames long."""

    def drive(labels):
        skill = np.empty(100)
        skill[0] = rng.standard_normal()
        for frame in range(1, 100):
            skill[frame] = 0.9 * skill[frame - 1] + np.sqrt(0.19) * rng.standard_normal()
        frames = [
            draw_confusions(rng, labels[frame : frame + 1], 0.6 + 0.1 * skill[frame])
            for frame in range(100)
        ]
        return np.concatenate(frames)

    trials, wrong = 60, {1: 0, 20: 0}
    for trial in range(trials):
        labels = label_counts(rng, 100)
        paths = [
            write_scores(tmp_path / f"{trial}_{k}/scores.json", drive(labels)) for k in range(2)
        ]
        for block in wrong:
            (pair,) = compare(paths, resamples=300, level=0.9, block=block).pairs
            wrong[block] += pair.scores["mean_iou"].decided
    # 74 and 36 % of 200 trials, where 10 % are promised: a drive of 100 frames holds some five
    # stretches, which are too few even so.
    assert wrong[1] >= 0.55 * trials
    assert wrong[20] <= 0.7 * wrong[1]


def test_groups_of_seeds_cover_the_luck_of_training(rng, tmp_path):
    """Two groups of four seeds of one recipe: their difference is nothing but luck."""

    def one_trial(trial):
        labels = label_counts(rng, 30)
        groups = []
        for group in range(2):
            members = []
            for seed in range(4):
                skill = 0.6 + 0.05 * rng.standard_normal()  # the luck of a training
                path = tmp_path / f"{trial}_{group}_{seed}/scores.json"
                members.append(write_scores(path, draw_confusions(rng, labels, skill)))
            groups.append(members)
        both = compare({"a": groups[0], "b": groups[1]}, resamples=300, level=0.9)
        single = compare([groups[0][0], groups[1][0]], resamples=300, level=0.9)
        return [one.pairs[0].scores["mean_iou"].decided for one in (both, single)]

    wrong = np.sum([one_trial(trial) for trial in range(40)], axis=0)
    assert wrong[0] <= 14  # 4 and a bit: four seeds tell little of their own spread
    assert wrong[1] >= 24  # images alone are sure of differences that are luck


def test_the_mean_of_redrawn_runs_varies_as_a_mean_should(rng, tmp_path):
    """With nothing random in the images, the variance is that of the runs over their number."""
    runs = []
    for k, skill in enumerate((0.3, 0.5, 0.9)):
        image = np.full((3, 3), int(1000 * (1 - skill) / 2))
        np.fill_diagonal(image, int(1000 * skill))
        path = write_scores(tmp_path / f"{k}/scores.json", np.stack([image] * 4))
        runs.append(read_scored_run(path))
    (scores,) = group_scores([runs], resamples=20000, seed=0)
    accuracy = scores["pixel_accuracy"]
    assert accuracy.mean() == pytest.approx(np.mean([0.3, 0.5, 0.9]), abs=5e-3)
    expected = np.var([0.3, 0.5, 0.9], ddof=1) / 3
    assert accuracy.var() == pytest.approx(expected, rel=0.05)


def test_seeds_of_one_recipe_form_a_group(rng, write_run):
    labels = label_counts(rng, 12)
    confusions = [draw_confusions(rng, labels, skill, 0.1) for skill in (0.6, 0.62, 0.7)]
    runs = [
        write_run("net_seed0", confusions[0], recipe="ksac", seed=0),
        write_run("other", confusions[2], recipe="fcn"),
        write_run("net_seed1", confusions[1], recipe="ksac", seed=1),
    ]
    result = compare(runs)
    assert [group.name for group in result.groups] == ["net", "other"]
    group = result.groups[0]
    ious = [scores_from_confusion(one.sum(axis=0)).mean_iou for one in confusions[:2]]
    assert group.scores["mean_iou"].value == pytest.approx(np.mean(ious))
    assert group.spread["mean_iou"] == pytest.approx(np.std(ious, ddof=1))
    assert np.isnan(result.groups[1].spread["mean_iou"])
    own = [np.mean([image_iou(confusions[k][i]) for k in range(2)]) for i in range(12)]
    np.testing.assert_allclose(group.image_iou, own)
    other = [image_iou(one) for one in confusions[2]]
    np.testing.assert_allclose(result.disagreement, np.abs(np.subtract(own, other)))
    order = np.argsort(-result.disagreement, kind="stable")
    assert result.most_disputed(4) == order[:4].tolist()
    text = comparison_table(result)
    assert f"{100 * np.mean(ious):.2f} ± {100 * np.std(ious, ddof=1):.2f}" in text
    assert "Trained once only: other." in text


def test_table_and_json_say_the_same(rng, write_run, tmp_path, capsys):
    _, runs = two_runs(rng, write_run)
    words = ["compare", *map(str, runs), "--resamples", "200", "--seed", "3", "--level", "0.9"]
    words += ["--block", "5"]
    assert main([*words, "--json", str(tmp_path / "new/c.json")]) == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "new/c.json").read_text())
    assert (content["resamples"], content["seed"], content["level"]) == (200, 3, 0.9)
    assert content["block"] == 5
    assert "25 images, 200 paired resamples of them, 5 neighbours at a time (seed 3)" in printed
    (pair,) = content["pairs"]
    gain = pair["scores"]["mean_iou"]
    low, high = gain["interval"]
    assert f"{100 * gain['value']:+.2f}  {100 * low:+.2f} ... {100 * high:+.2f}" in printed
    assert pair["verdict"] in printed and "90 % interval" in printed
    for name, one in pair["class_iou"].items():
        row = next(line for line in printed.splitlines() if line.startswith(name))
        star = "*" if one["interval"][0] > 0 or one["interval"][1] < 0 else ""
        assert row.split()[-1] == f"{100 * one['value']:+.2f}{star}"
    worst = content["disagreement"][0]
    assert len(content["disagreement"]) == 25 and worst["image"] in printed
    scores = worst["mean_iou"].values()
    assert worst["difference"] == pytest.approx(max(scores) - min(scores))


def test_groups_can_be_named(rng, write_run, capsys):
    _, runs = two_runs(rng, write_run, skills=(0.6, 0.65, 0.7))
    assert main(["compare", f"old={runs[0]},{runs[1]}", f"new={runs[2]}"]) == 0
    assert "new - old" in capsys.readouterr().out
    assert main(["compare", f"old={runs[0]}", str(runs[1])]) == 0
    assert "run1 - old" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(rng, write_run, tmp_path, capsys):
    labels = label_counts(rng, 6)
    confusions = draw_confusions(rng, labels, 0.6)
    good = write_run("good", confusions)

    def refuses(other, *words, option=()):
        assert main(["compare", str(good), str(other), *option]) == 2
        message = capsys.readouterr().err
        for word in words:
            assert word in message, message

    moved = confusions[[1, 0, 2, 3, 4, 5]]
    classes = [{"id": k, "name": name} for k, name in enumerate(("sky", "sea", "car"))]
    other_protocol = {"protocol": {"scales": [0.5, 1.0], "flip": True}}
    refuses(write_run("a", confusions, "x", classes=classes), "classes", "class0", "sky")
    refuses(write_run("b", confusions, "x", ignore_label=0), "ignore label: 255 and 0")
    refuses(write_run("c", confusions[:4], "x"), "images: 6 and 4", "'image4'")
    refuses(write_run("d", moved, "x"), "label maps: 2 of them", "'image0'")
    refuses(
        write_run("e", confusions, "x", **other_protocol), "protocols", "flip", "--any-protocol"
    )
    refuses(write_run("f", confusions, "x", format=1), "format 1", "evaluate the run again")
    refuses(good, "given more than once")
    refuses(write_run("g", confusions, "fcn", seed=1), "two runs or groups", "(2 runs)")
    refuses(tmp_path / "none", "none: expected a run's folder")
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", "ctxseg evaluate")
    several = write_run("h", confusions, "x")
    (several / "evaluation/test").mkdir()
    (several / "evaluation/test/scores.json").write_text("{}")
    refuses(several, "test, val", "--split")
    (tmp_path / "text.json").write_text("[]")
    refuses(tmp_path / "text.json", "expected the scores.json")
    refuses(tmp_path / "e", "at most 3, half of the 6", option=("--any-protocol", "--block", "4"))
    assert main(["compare", str(good), str(tmp_path / "e"), "--any-protocol"]) == 0
    assert main(["compare", str(good), str(several), "--split", "val"]) == 0


def test_a_run_stands_for_its_own_recipe(rng, write_run, capsys):
    confusions = draw_confusions(rng, label_counts(rng, 6), 0.6)
    run, other = write_run("net", confusions), write_run("other", confusions, "x")
    flipped = write_scores(
        run / "evaluation/val+flip=true/scores.json",
        confusions,
        protocol={**PROTOCOL, "flip": True},
    )
    assert main(["compare", str(run), str(other)]) == 0
    assert main(["compare", str(run), str(other), "--split", flipped.parent.name]) == 2
    assert "evaluation/val+flip=true/scores.json" in capsys.readouterr().err


def test_one_network_by_two_protocols(rng, write_run, capsys):
    labels = label_counts(rng, 10)
    run = write_run("net", draw_confusions(rng, labels, 0.6))
    other = write_scores(
        run / "evaluation/flipped/scores.json",
        draw_confusions(rng, labels, 0.7),
        protocol={**PROTOCOL, "flip": True},
    )
    words = ["compare", str(run / "evaluation/val"), str(other)]
    assert main(words) == 2
    assert "flip False and True" in capsys.readouterr().err
    assert main([*words, "--any-protocol"]) == 0
    assert "net/flipped - net/val" in capsys.readouterr().out
    renamed = write_run(
        "same", draw_confusions(rng, labels, 0.6), "x", protocol={**PROTOCOL, "name": "whole_image"}
    )
    assert main(["compare", str(run / "evaluation/val"), str(renamed)]) == 0  # but for its name
