"""Reports in a real browser: on a phone, on a desk, in the dark; pictures there, nothing amiss."""

import numpy as np
import pytest

from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.evaluation import (
    DisputedImage,
    Evaluator,
    compare,
    report_samples,
    write_comparison,
    write_report,
)
from tests.browser import look_at
from tests.evaluation.comparison.made_up_scores import draw_confusions, label_counts, write_scores

CLASSES = 4
NAMES = ("sky", "an_unusually_long_name_of_a_class_without_any_space", "boat", "car")
PALETTE = default_palette(CLASSES)
LIGHT, DARK = "rgb(246, 247, 249)", "rgb(16, 19, 23)"


@pytest.fixture
def report(model, examples, tmp_path):
    evaluator = Evaluator(model, CLASSES, class_names=NAMES)
    result = evaluator(examples)
    log = tmp_path / "log.csv"
    rows = [
        f"{k},1.0,{2 / (k + 1)},{k / 9},{0.1 - k / 100},{k / 12 if k % 3 else ''}" for k in range(9)
    ]
    log.write_text("epoch,seconds,loss,mean_iou,learning_rate,val_mean_iou\n" + "\n".join(rows))
    facts = {"Command": "ctxseg evaluate runs/" + "x" * 200}
    samples = report_samples(evaluator, examples, result, count=2)
    path = tmp_path / "report.html"
    return write_report(result, samples, path, PALETTE, facts, "a_long_name" * 6, log)


@pytest.fixture
def comparison(tmp_path, rng):
    labels = label_counts(rng, 12, CLASSES)
    scores = [
        write_scores(
            tmp_path / f"a_run_with_quite_a_long_name_{k}/scores.json",
            draw_confusions(rng, labels, 0.5 + k / 10, 0.1),
        )
        for k in range(3)
    ]
    found = compare(scores, resamples=100)
    pictures = []
    for place in found.most_disputed(2):
        label, *predictions = rng.integers(0, CLASSES, (4, 40, 50)).astype(np.int32)
        image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        named = dict(zip((group.name for group in found.groups), predictions, strict=True))
        pictures.append(DisputedImage(found.images[place], image, label, named))
    return write_comparison(found, tmp_path / "comparison.html", PALETTE, pictures)


def check(path, folder, texts, pictures):
    """One view after the other: the width of a phone, also in the dark, and of a desk."""
    for width, dark in ((360, False), (360, True), (1280, False)):
        seen = look_at(path, folder, width, dark)
        assert seen.width == width
        assert seen.content_width == width, f"the page scrolls sideways: {seen.beyond}"
        assert not seen.beyond
        assert not seen.console
        assert len(seen.image_widths) == pictures and min(seen.image_widths) > 0
        assert min(seen.drawing_widths) > 20
        assert seen.background == (DARK if dark else LIGHT)
        for text in texts:
            assert text in seen.text


def test_a_report_opens_everywhere(report, tmp_path):
    texts = (
        "mean IoU",
        "Learning rate",
        "Trimap",
        "Right pixels by confidence",
        "Commonest confusions",
        "By other conventions",
        NAMES[1],
    )
    check(report, tmp_path, texts, pictures=4 * 4)


@pytest.mark.whole
def test_a_comparison_opens_everywhere(comparison, tmp_path):
    texts = ("Verdict", "Differences", "Gains by class", "Most disputed images", "class3")
    check(comparison, tmp_path, texts, pictures=2 * (2 + 2 * 3))


@pytest.mark.whole
def test_the_browser_sees_what_is_amiss(tmp_path):
    """The checks above can fail: a page with every fault that they look for."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<title>bad</title><body style='background: rgb(1, 2, 3)'><img src='none.png'>"
        "<div style='width: 900px'>wide</div><script>console.error('oh'); nothing()</script>"
    )
    seen = look_at(page, tmp_path, 360)
    assert seen.title == "bad" and seen.background == "rgb(1, 2, 3)"
    assert seen.content_width > 900 > seen.width == 360
    assert any("900px" in one for one in seen.beyond)
    assert seen.image_widths == [0]
    assert any("oh" in line for line in seen.console)
    assert any("nothing is not defined" in line for line in seen.console)
