"""Curves of a report: the points that are drawn are those of the run and of its scores."""

import re

import numpy as np
import pytest

from keras_ctxseg.evaluation.report_curves import (
    boundary_charts,
    calibration_charts,
    training_charts,
)
from keras_ctxseg.pages.svg_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Line, _ticks
from keras_ctxseg.pages.svg_chart import line_chart as draw


def points(chart, kind="polyline"):
    """(points, 2) of each curve, in the drawing's own units."""
    found = re.findall(rf'<{kind} [^>]*points="([^"]*)"', chart)
    return [np.array([pair.split(",") for pair in one.split()], float) for one in found]


def axis(chart, place):
    """Slope and offset from an axis' tick labels: value = slope * position + offset."""
    pattern = r'<text class="{}" x="([\d.]+)" y="([\d.]+)">([-\d.e]+)</text>'
    ticks = re.findall(pattern.format("mid" if place == 0 else "end"), chart)
    at = [float(tick[place]) - (4 if place else 0) for tick in ticks]
    return np.polyfit(at, [float(tick[2]) for tick in ticks], 1)


def values(chart, curve):
    """The curve in the units of its axes."""
    return np.stack([np.polyval(axis(chart, k), curve[:, k]) for k in range(2)], axis=1)


def test_a_line_goes_where_its_axes_say(rng):
    x = np.sort(rng.uniform(-3, 90, 12))
    y = rng.uniform(-0.02, 0.05, 12)
    band = np.stack([y - 0.01, y + 0.02], axis=1)
    chart = draw([Line("a & <b>", x, y, band, marks=True), Line("c", x, -y)], "time", "height")
    first, second = points(chart)
    # Places are written to a tenth of a unit.
    tolerance = {"atol": 0.002 * 0.1, "rtol": 0}
    np.testing.assert_allclose(values(chart, first)[:, 1], y, **tolerance)
    np.testing.assert_allclose(values(chart, first)[:, 0], x, atol=0.5)
    np.testing.assert_allclose(values(chart, second)[:, 1], -y, **tolerance)
    (polygon,) = points(chart, "polygon")
    edges = values(chart, polygon)[:, 1]
    np.testing.assert_allclose(edges[:12], band[:, 1], **tolerance)
    np.testing.assert_allclose(edges[12:][::-1], band[:, 0], **tolerance)
    assert chart.count("<circle") == 12
    assert "a &amp; &lt;b&gt;" in chart and "<b>" not in chart
    for curve in (first, second, polygon):
        assert (curve[:, 0] >= LEFT).all() and (curve[:, 0] <= WIDTH - RIGHT).all()
        assert (curve[:, 1] >= TOP).all() and (curve[:, 1] <= HEIGHT - BOTTOM).all()


def test_gaps_cut_a_line():
    y = [1.0, np.nan, 2.0, 3.0, np.nan, np.nan, 4.0, 5.0]
    assert [len(one) for one in points(draw([Line("a", range(8), y)], "x", "y"))] == [1, 2, 2]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0.13, 0.41, [0.2, 0.3, 0.4]),
        (-7, 8, [-5, 0, 5]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert _ticks(low, high) == pytest.approx(expected)


def test_training_curves_are_the_logs(tmp_path, rng):
    epochs = 20
    loss, train = rng.uniform(0.2, 2, epochs), rng.uniform(0.1, 0.9, epochs)
    validated = {k: rng.uniform(0.1, 0.9) for k in range(4, epochs, 5)}
    log = tmp_path / "log.csv"
    rows = ["epoch,seconds,loss,mean_iou,learning_rate,val_mean_iou"]
    rows += [
        f"{k},9,{loss[k]:.8g},{train[k]:.8g},0.1,{validated.get(k, '')}" for k in range(epochs)
    ]
    log.write_text("\n".join(rows))
    charts = dict(training_charts(log))
    assert list(charts) == ["Loss", "Mean IoU, %", "Learning rate"]
    (curve,) = points(charts["Loss"])
    drawn = values(charts["Loss"], curve)
    np.testing.assert_allclose(drawn[:, 0], np.arange(1, epochs + 1), atol=0.02)
    np.testing.assert_allclose(drawn[:, 1], loss, atol=0.002 * np.ptp(loss))
    training, validation = points(charts["Mean IoU, %"])
    np.testing.assert_allclose(values(charts["Mean IoU, %"], training)[:, 1], 100 * train, atol=0.2)
    drawn = values(charts["Mean IoU, %"], validation)
    np.testing.assert_allclose(drawn[:, 0], [k + 1 for k in validated], atol=0.02)
    np.testing.assert_allclose(drawn[:, 1], [100 * v for v in validated.values()], atol=0.2)
    assert training_charts(None) == training_charts(tmp_path / "none.csv") == []
    log.write_text("\n".join(rows[:2]))
    assert training_charts(log) == []


def test_boundary_curves_are_the_scores(rng):
    distances, scores = [1, 2, 4, 8], rng.uniform(0.2, 0.7, (2, 4))
    band = np.stack([scores[0] - 0.1, scores[0] + 0.1], axis=1).tolist()
    boundary = {
        "distances": distances,
        "trimap_mean_iou": scores[0].tolist(),
        "trimap_intervals": band,
        "boundary_iou": scores[1].tolist(),
        "boundary_iou_intervals": None,
    }
    trimap, contours = (chart for _, chart in boundary_charts(boundary))
    for chart, expected in ((trimap, scores[0]), (contours, scores[1])):
        drawn = values(chart, points(chart)[0])
        np.testing.assert_allclose(drawn[:, 0], distances, atol=0.01)
        np.testing.assert_allclose(drawn[:, 1], 100 * expected, atol=0.15)
    assert len(points(trimap, "polygon")) == 1 and not points(contours, "polygon")
    assert boundary_charts(None) == []


def test_calibration_leaves_empty_bins_out():
    calibration = {
        "edges": [0.0, 0.25, 0.5, 0.75, 1.0],
        "pixels": [0, 10, 30, 60],
        "confidence": [None, 0.4, 0.6, 0.9],
        "accuracy": [None, 0.3, 0.65, 0.95],
    }
    reliability, share = (chart for _, chart in calibration_charts(calibration))
    measured, diagonal = points(reliability)
    np.testing.assert_allclose(
        values(reliability, measured), [[40, 30], [60, 65], [90, 95]], atol=0.2
    )
    np.testing.assert_allclose(values(reliability, diagonal), [[0, 0], [100, 100]], atol=0.2)
    steps = values(share, points(share)[0])
    edges = [0, 25, 25, 50, 50, 75, 75, 100]
    np.testing.assert_allclose(
        steps, np.stack([edges, [0, 0, 10, 10, 30, 30, 60, 60]], 1), atol=0.2
    )
    assert calibration_charts(None) == []
