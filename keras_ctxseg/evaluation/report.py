"""One HTML file that shows how good a model is, and where it fails."""

from __future__ import annotations

import datetime
import importlib.resources
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.evaluation.report_curves import (
    boundary_charts,
    calibration_charts,
    training_charts,
)
from keras_ctxseg.evaluation.report_figures import (
    class_rows,
    common_confusions,
    confusion_figure,
    other_conventions,
    score_tiles,
)
from keras_ctxseg.evaluation.report_pictures import sample_pictures
from keras_ctxseg.evaluation.result import EvaluationResult
from keras_ctxseg.evaluation.samples import ReportSample
from keras_ctxseg.evaluation.scores_file import ABSENT_POLICY
from keras_ctxseg.pages.page import render_page

TEMPLATE = "report.html.j2"


def write_report(
    result: EvaluationResult,
    samples: tuple[Sequence[ReportSample], Sequence[ReportSample]],
    path: str | os.PathLike,
    palette: np.ndarray,
    facts: Mapping[str, object] | None = None,
    title: str = "Evaluation",
    log: str | os.PathLike | None = None,
) -> Path:
    """Writes a self-contained report: scores with intervals, classes, curves of the training, of
    boundaries and of calibration, confusion matrix, worst and best images, facts.

    The file needs no network and no other file, follows the reader's light or dark theme and fits
    a phone.

    Args:
        result: of the evaluation.
        samples: `(worst, best)` images, as `report_samples` returns them; both may be empty.
        path: of the HTML file; folders are made where missing.
        palette: uint8 (classes, 3) RGB.
        facts: what to say about the run, such as model, parameters, data or command, by its
            name. The day is added.
        title: the heading.
        log: the training's `log.csv`, whose curves are drawn; None leaves them out.

    Returns:
        The path.

    Raises:
        ValueError: where the palette has no colour for each class.
    """
    palette = np.asarray(palette, np.uint8)
    if palette.shape != (len(result.class_names), 3):
        raise ValueError(
            f"`palette` must be ({len(result.class_names)}, 3), a colour for each class. "
            f"Received: shape {palette.shape}"
        )
    content = result.to_dict()
    now = datetime.datetime.now().astimezone()
    html = render_page(
        importlib.resources.files(__package__).joinpath(TEMPLATE),
        title=title,
        result=result,
        scores=result.scores,
        valid_pixels=int(result.confusion.sum()),
        tiles=score_tiles(content),
        intervals=content.get("intervals"),
        conventions=other_conventions(content),
        chapters=_chapters(content, log),
        classes=class_rows(result, palette, content),
        confusion=confusion_figure(result),
        confusions=common_confusions(result),
        groups=[
            ("Worst images", _with_pictures(samples[0], result, palette)),
            ("Best images", _with_pictures(samples[1], result, palette)),
        ],
        facts={**(facts or {}), "Written": now.strftime("%Y-%m-%d %H:%M %Z")},
        absent_policy=ABSENT_POLICY,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    return path


def _chapters(content: Mapping[str, Any], log: str | os.PathLike | None) -> list[dict[str, Any]]:
    return [
        {
            "title": "Training",
            "note": "By epoch, as the run logged it. Training scores are of augmented crops.",
            "charts": training_charts(log),
        },
        {
            "title": "Boundaries",
            "note": "Trimap: only pixels up to a distance of a contour count, where "
            "most errors lie. Boundary IoU: overlap of the bands along labels' and "
            "predictions' own contours. Bands of colour are intervals over the choice of images.",
            "charts": boundary_charts(content.get("boundary")),
        },
        {
            "title": "Calibration",
            "note": "How often the network is right where it says how sure it is: on the dashed "
            "line, as often as it says; below it, the network is too sure of itself.",
            "charts": calibration_charts(content.get("calibration")),
        },
    ]


def _with_pictures(
    samples: Sequence[ReportSample], result: EvaluationResult, palette: np.ndarray
) -> list[dict]:
    return [
        {
            "score": sample.score,
            "pictures": sample_pictures(sample, palette, result.ignore_label),
        }
        for sample in samples
    ]
