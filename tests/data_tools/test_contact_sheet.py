"""The contact sheet shows the stream, and what is ignored."""

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg import data
from keras_ctxseg.cli import main
from keras_ctxseg.data_tools.contact_sheet import (
    IGNORED,
    augmented_rows,
    draw_labels,
    raw_rows,
    write_sheet,
)

RECIPE = """
name: photos
model: {{name: fcn_mobilenet_v2}}
data: {{name: folder, options: {{path: {path}}}, validation_split: train}}
augmentation: {{crop_size: [36, 44], mosaic: {{probability: 0.5}}}}
training: {{seed: 3, batch_size: 2}}
"""


@pytest.fixture
def pipeline(write_folder):
    dataset = data.load("folder", path=write_folder({"train": 5}))
    config = data.AugmentationConfig((36, 44), brightness=0.2)
    return data.TrainPipeline(dataset, "train", config, 1, seed=3)


def test_rows_are_what_the_stream_gives(pipeline):
    stream = list(pipeline.build().take(15).as_numpy_iterator())
    order = [int(pipeline.source_index(number)) for number in range(15)]
    rows = augmented_rows(pipeline, count=2, epochs=3)
    assert [row.name for row in rows] == ["00", "02"]
    for index, row in zip((0, 2), rows, strict=True):
        assert [title for title, *_ in row.cells] == ["as it is", "epoch 1", "epoch 2", "epoch 3"]
        for epoch, (_, image, label) in enumerate(row.cells[1:]):
            number = pipeline.number_of(index, epoch)
            assert order[number] == index
            assert number // 5 == epoch
            np.testing.assert_array_equal(label, stream[number][1][0])
            np.testing.assert_allclose(image, stream[number][0][0], atol=1e-3)


def test_raw_rows_are_the_files(pipeline):
    rows = raw_rows(pipeline, count=9)
    assert [row.name for row in rows] == ["00", "01", "02", "03", "04"]
    examples = pipeline.dataset.examples("train").as_numpy_iterator()
    for row, example in zip(rows, examples, strict=True):
        [(_, image, label)] = row.cells
        np.testing.assert_array_equal(image, example["image"])
        np.testing.assert_array_equal(label, example["label"])


def test_ignored_pixels_are_striped(rng):
    image = rng.integers(0, 200, (60, 80, 3)).astype(np.uint8)
    label = rng.choice([0, 1, 255], (60, 80))
    palette = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    picture = draw_labels(image, label, palette, 255)
    striped = (picture == IGNORED).all(-1)
    assert not striped[label != 255].any()
    assert 0.2 < striped[label == 255].mean() < 0.5
    plain = (label == 255) & ~striped
    np.testing.assert_array_equal(picture[plain], image[plain])
    for id in (0, 1):
        mixed = 0.45 * image[label == id] + 0.55 * palette[id]
        np.testing.assert_allclose(picture[label == id], mixed, atol=0.51)


def test_an_ending_that_is_no_picture(pipeline, tmp_path):
    with pytest.raises(ValueError, match=r"`path`: expected an ending of .html, .png, .*sheet.txt"):
        write_sheet([], tmp_path / "sheet.txt", np.zeros((1, 3)), ["a"], 255)


def test_the_command_writes_a_picture_and_a_page(write_folder, tmp_path, capsys):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE.format(path=write_folder({"train": 3})))
    command = ["show-data", str(recipe), "--count", "2"]
    sheet, page = tmp_path / "out" / "sheet.png", tmp_path / "out" / "sheet.html"
    assert main([*command, "--epochs", "1", "--output", str(sheet)]) == 0
    assert f"{sheet}, 2 examples of 3" in capsys.readouterr().out
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.std() > 20
    assert (pixels == IGNORED).all(-1).any()
    assert main([*command, "--raw", "--output", str(page)]) == 0
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "<h2>00</h2>" in text
    assert main([*command, "--epochs", "0"]) == 2
    assert "`--epochs`: expected 1 or more. Received: 0" in capsys.readouterr().err
