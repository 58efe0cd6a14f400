"""The page of a comparison: its figures are the comparison's, its pictures the label maps."""

import base64
import io
import re

import numpy as np
from PIL import Image

from keras_ctxseg.data.palettes import colorize, default_palette
from keras_ctxseg.evaluation import compare, disputed_images, write_comparison
from tests.evaluation.comparison.made_up_scores import draw_confusions, label_counts

CLASSES = 3


def page_of(rng, write_run, tmp_path, disputed=()):
    labels = label_counts(rng, 20)
    runs = [
        write_run(f"run{k}", draw_confusions(rng, labels, skill, 0.1), recipe=f"net{k}")
        for k, skill in enumerate((0.6, 0.75))
    ]
    found = compare(runs, resamples=200)
    path = write_comparison(found, tmp_path / "new/c.html", None, disputed, {"Command": "a <b> c"})
    return found, path.read_text(encoding="utf-8")


def test_verdicts_scores_and_classes(rng, write_run, tmp_path):
    found, html = page_of(rng, write_run, tmp_path)
    (pair,) = found.pairs
    one = pair.scores["mean_iou"]
    assert pair.verdict == "run1 beats run0"
    assert f'<b>run1 beats run0</b>: <span class="number">{100 * one.value:+.2f}</span>' in html
    for estimate in (one, *pair.class_iou):
        assert f"{100 * estimate.low:+.2f} … {100 * estimate.high:+.2f}" in html
    for group in found.groups:
        for estimate in group.scores.values():
            assert f"{100 * estimate.value:.2f}" in html
    assert found.images[found.most_disputed(1)[0]] in html
    assert "a &lt;b&gt; c" in html and not re.search(r"https?://|src=\"(?!data:)", html)


def test_intervals_lie_where_they_should(rng, write_run, tmp_path):
    """Places on the shared axis keep the ratios of the figures."""
    found, html = page_of(rng, write_run, tmp_path)
    gains = found.pairs[0].class_iou
    section = html.split("Gains by class</h2>")[1].split("</section>")[0]
    pattern = r'class="{}" x1="([\d.]+)" x2="([\d.]+)"'
    ranges = np.array(re.findall(pattern.format('range[^"]*'), section), float)
    zeros = np.array(re.findall(pattern.format("mean"), section), float)
    assert len(ranges) == len(zeros) == CLASSES and np.ptp(zeros) == 0
    expected = np.array([(one.low, one.high) for one in gains])
    slope = np.ptp(ranges) / np.ptp(expected)
    np.testing.assert_allclose(ranges - zeros[0, 0], slope * expected, atol=0.01)


def test_disputed_images_are_predicted_by_each_network(rng, write_run, tmp_path):
    examples = [
        {
            "name": f"image{k}",
            "image": rng.uniform(0, 255, (10, 12, 3)).astype(np.float32),
            "label": rng.integers(0, CLASSES, (20, 24)).astype(np.int32),
        }
        for k in range(6)
    ]

    def network(offset):
        def label(image, size, name):
            return np.full(size, (int(name[-1]) + offset) % CLASSES, np.int32)

        return label

    networks = {"run0": (network(0), examples), "run1": (network(1), examples[::-1])}
    shown = disputed_images(["image4", "image1", "gone"], networks)
    assert [one.name for one in shown] == ["image4", "image1"]
    for one, k in zip(shown, (4, 1), strict=True):
        np.testing.assert_array_equal(one.label, examples[k]["label"])
        np.testing.assert_array_equal(one.image, np.round(examples[k]["image"]).astype(np.uint8))
        assert (one.predictions["run0"] == k % CLASSES).all()
        assert (one.predictions["run1"] == (k + 1) % CLASSES).all()

    _, html = page_of(rng, write_run, tmp_path, shown)
    pictures = re.findall(r'<img src="data:image/(?:png|jpeg);base64,([^"]*)" alt="([^"]*)"', html)
    assert [caption for _, caption in pictures[:6]] == [
        f"{what} of image4"
        for what in ("image", "truth", "run0", "errors of run0", "run1", "errors of run1")
    ]
    palette = default_palette(CLASSES)
    for place, ids in ((1, shown[0].label), (2, shown[0].predictions["run0"])):
        data = io.BytesIO(base64.b64decode(pictures[place][0]))
        drawn = np.asarray(Image.open(data).convert("RGB"))
        np.testing.assert_array_equal(drawn, colorize(ids, palette))
