"""The report: figures equal to the result, pictures to the label maps, nothing from outside."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.data.palettes import colorize, default_palette
from keras_ctxseg.evaluation import (
    EvaluationResult,
    Evaluator,
    report_samples,
    write_report,
)
from keras_ctxseg.metrics import scores_from_confusion

CLASSES = 4
NAMES = ("sky", "<b>road</b>", "boat", "car")
PALETTE = default_palette(CLASSES)


class Elements(HTMLParser):
    """All start tags with their attributes, and all text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag, **wanted):
        return [
            attributes
            for name, attributes in self.tags
            if name == tag and wanted.items() <= attributes.items()
        ]


@pytest.fixture
def evaluated(model, examples):
    evaluator = Evaluator(model, CLASSES, class_names=NAMES)
    result = evaluator(examples)
    return evaluator, examples, result


def picture(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB"))


def test_samples_are_the_worst_and_the_best(evaluated):
    evaluator, examples, result = evaluated
    ious = {image.name: image.mean_iou for image in result.images}
    order = sorted(ious, key=ious.get)
    worst, best = report_samples(evaluator, examples, result, count=3)
    assert [sample.score.name for sample in worst] == order[:3]
    assert [sample.score.name for sample in best] == order[:-4:-1]
    by_name = {example["name"]: example for example in examples}
    for sample in worst + best:
        example = by_name[sample.score.name]
        np.testing.assert_array_equal(sample.label, example["label"])
        expected = evaluator.predict(example["image"], example["label"].shape)
        np.testing.assert_array_equal(sample.prediction, expected)
    worst, best = report_samples(evaluator, examples, result, count=100)
    assert sorted(s.score.name for s in worst + best) == sorted(ious)


def test_report_shows_the_figures_and_needs_nothing_else(evaluated, tmp_path):
    evaluator, examples, result = evaluated
    samples = report_samples(evaluator, examples, result, count=2)
    facts = {"Model": "tiny & small", "Command": "ctxseg evaluate <run>"}
    path = write_report(result, samples, tmp_path / "new" / "r.html", PALETTE, facts, "A title")
    html = path.read_text(encoding="utf-8")
    page = Elements(html)

    for _, attributes in page.tags:
        for key in ("src", "href", "xlink:href"):
            assert attributes.get(key, "data:").startswith("data:")
    assert not re.search(r"https?://|@import|url\(", html)
    assert not page.all("b")[0].get("src")
    assert "<b>road</b>" not in html  # escaped
    assert "<b>road</b>" in page.text
    for text in ("tiny & small", "ctxseg evaluate <run>", "A title", "left out of the"):
        assert text in page.text

    widths = [float(bar["width"]) for bar in page.all("rect", **{"class": "bar"})]
    np.testing.assert_allclose(widths, 100.0 * result.scores.per_class_iou, atol=6e-4)
    for score in ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"):
        assert f"{100.0 * getattr(result.scores, score):.1f}" in page.text
    cells = page.all("rect", **{"class": "heat"}) + page.all("rect", **{"class": "heat off"})
    assert len(cells) == np.count_nonzero(result.confusion)
    for row, column in zip(*np.nonzero(result.confusion), strict=True):
        share = 100.0 * result.confusion[row, column] / result.confusion[row].sum()
        assert f"{NAMES[row]} → {NAMES[column]}: {share:.2f} %" in page.text


def test_pictures_show_truth_prediction_and_errors(evaluated, tmp_path):
    evaluator, examples, result = evaluated
    samples = report_samples(evaluator, examples, result, count=1)
    page = Elements(
        write_report(result, samples, tmp_path / "r.html", PALETTE).read_text(encoding="utf-8")
    )
    images = page.all("img")
    assert len(images) == 2 * 4
    sample = samples[0][0]
    image, truth, prediction, errors = (picture(entry["src"]) for entry in images[:4])
    assert image.shape == (*sample.label.shape, 3)
    np.testing.assert_array_equal(truth, colorize(sample.label, PALETTE))
    np.testing.assert_array_equal(prediction, colorize(sample.prediction, PALETTE))
    assert errors.shape == truth.shape


def test_error_map_marks_wrong_and_ignored_pixels():
    from keras_ctxseg.evaluation.report_pictures import IGNORED, WRONG, _errors

    rng = np.random.default_rng(0)
    label, prediction = rng.integers(0, CLASSES, (2, 9, 7))
    label[rng.random(label.shape) < 0.3] = 255
    errors = _errors(rng.integers(0, 256, (9, 7, 3)).astype("uint8"), label, prediction, 255)
    wrong = (label != prediction) & (label != 255)
    np.testing.assert_array_equal((errors == WRONG).all(-1), wrong)
    np.testing.assert_array_equal((errors == IGNORED).all(-1), label == 255)


@pytest.mark.parametrize("count", [1, 2, 60])
def test_any_number_of_classes_and_absent_ones(count, tmp_path):
    rng = np.random.default_rng(count)
    confusion = rng.integers(0, 100, (count, count))
    confusion[-1] = confusion[:, -1] = 0
    names = tuple(f"class {k}" for k in range(count))
    result = EvaluationResult(scores_from_confusion(confusion), confusion, (), names, 255, 1.0)
    path = write_report(result, ([], []), tmp_path / "r.html", default_palette(count))
    page = Elements(path.read_text(encoding="utf-8"))
    assert f"Absent here: class {count - 1}" in page.text
    assert len(page.all("rect", **{"class": "bar"})) == count - 1
    matrix = page.all("svg", **{"class": "matrix"})[0]
    assert float(matrix["width"]) > 14 * count
    assert "nan" not in path.read_text(encoding="utf-8").lower()


def test_a_palette_of_another_length_is_refused(evaluated, tmp_path):
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(3, 3\)"):
        write_report(evaluated[2], ([], []), tmp_path / "r.html", PALETTE[:3])
