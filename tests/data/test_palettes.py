"""Colours of label maps, and that this part needs no TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.data import palettes


def test_default_palette_is_distinct_and_stable():
    palette = palettes.default_palette(40)
    assert palette.dtype == np.uint8
    assert len(np.unique(palette, axis=0)) == 40
    np.testing.assert_array_equal(palette[:7], palettes.default_palette(7))
    distances = np.abs(palette[:8, None].astype(int) - palette[None, :8]).sum(-1)
    assert distances[~np.eye(8, dtype=bool)].min() > 60


def test_colorize():
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    labels = np.array([[0, 1, 255], [2, -1, 1]])
    expected = [[[1, 2, 3], [4, 5, 6], [0, 0, 0]], [[0, 0, 0], [0, 0, 0], [4, 5, 6]]]
    np.testing.assert_array_equal(palettes.colorize(labels, palette), expected)


def test_overlay_mixes_known_pixels_only():
    image = np.full((1, 3, 3), 100, np.uint8)
    palette = np.array([[200, 0, 50]], np.uint8)
    result = palettes.overlay(image, np.array([[0, 255, 1]]), palette, opacity=0.25)
    np.testing.assert_array_equal(result, [[[125, 75, 88], [100] * 3, [100] * 3]])


def test_saved_png_holds_ids_and_shows_colours(tmp_path):
    labels = np.random.default_rng(0).choice([0, 1, 2, 255], (9, 11))
    palette = palettes.default_palette(3)
    palettes.save_palette_png(tmp_path / "a.png", labels, palette)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        expected = palettes.colorize(labels, palette)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected)


def test_ids_outside_the_palette_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ids 0 \.\.\. 1 or 255. Received: shape .* ids \[2, 7\]"):
        palettes.save_palette_png(tmp_path / "a.png", np.array([[2, 7, 0]]), np.zeros((2, 3)))
    assert not (tmp_path / "a.png").exists()


def test_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['ctxseg']\n"  # the command's process does not load the core
        "from keras_ctxseg.data import AugmentationConfig, palettes\n"
        "heavy = {'tensorflow', 'keras', 'tensorflow_datasets', 'official'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "from keras_ctxseg import data\n"
        "data.TrainPipeline, data.load, data.evaluation_examples\n"
        "heavy = {'tensorflow_datasets', 'official', 'tf_keras'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
