"""LabelMe's shapes against geometry worked out pixel by pixel."""

import base64
import io
import json

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from keras_ctxseg.data_tools.prepare import prepare_labelme

HEIGHT, WIDTH = 60, 80


def shape(label, kind, points, **more):
    return {"label": label, "shape_type": kind, "points": points, **more}


def write(folder, name, shapes, image="file", **more):
    folder.mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    content = {
        "version": "5.5.0",
        "shapes": shapes,
        "imagePath": f"..\\pictures\\{name}.jpg",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
        **more,
    }
    if image == "file":
        (folder / f"{name}.jpg").write_bytes(buffer.getvalue())
    elif image == "inside":
        content["imageData"] = base64.b64encode(buffer.getvalue()).decode()
    (folder / f"{name}.json").write_text(json.dumps(content))
    return buffer.getvalue()


@pytest.fixture
def draw(tmp_path, labels_of):
    """Prepares one file of shapes (and a second that only makes a split); returns its mask."""

    def draw(shapes, classes="car,road", **options):
        write(tmp_path / "json", "a", shapes)
        write(tmp_path / "json", "b", [])
        prepare_labelme(str(tmp_path / "json"), tmp_path / "out", classes=classes, **options)
        return labels_of(tmp_path / "out")["a"]

    return draw


def pixel_grid():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return columns, rows


def agree(mask, inside, distance):
    """`mask` where the exact distance to the outline is above a pixel; nearly all pixels are."""
    sure = distance > 1.0
    assert sure.mean() > 0.8
    np.testing.assert_array_equal(mask[sure], inside[sure])


def distance_to_segments(points, x, y):
    distances = []
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        dx, dy = x1 - x0, y1 - y0
        along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        distances.append(np.hypot(x - x0 - along * dx, y - y0 - along * dy))
    return np.min(distances, axis=0)


def test_polygon(draw):
    points = [[10.5, 8.2], [60.0, 3.0], [70.3, 50.1], [35.0, 25.0], [12.0, 55.5]]  # not convex
    mask = draw([shape("road", "polygon", points)])
    x, y = pixel_grid()
    inside = Outline(points).contains_points(np.stack([x.ravel(), y.ravel()], 1))
    agree(mask == 2, inside.reshape(HEIGHT, WIDTH), distance_to_segments(points, x, y))
    assert set(np.unique(mask)) == {0, 2}


def test_rectangle_from_any_corner(draw):
    mask = draw([shape("car", "rectangle", [[50.0, 40.0], [10.0, 5.0]])])
    x, y = pixel_grid()
    np.testing.assert_array_equal(mask == 1, (x >= 10) & (x <= 50) & (y >= 5) & (y <= 40))


def test_circle(draw):
    mask = draw([shape("car", "circle", [[40.0, 30.0], [52.0, 46.0]])])  # radius 20
    x, y = pixel_grid()
    radius = np.hypot(x - 40, y - 30)
    agree(mask == 1, radius < 20, np.abs(radius - 20))


def test_line(draw):
    mask = draw([shape("car", "line", [[10, 10], [60, 45]])], line_width=6)
    x, y = pixel_grid()
    across = np.abs((x - 10) * 35 - (y - 10) * 50) / np.hypot(35, 50)
    along = ((x - 10) * 50 + (y - 10) * 35) / np.hypot(35, 50)
    length = np.hypot(35, 50)
    middle = (along > 4) & (along < length - 4)
    sure = middle & (np.abs(across - 3) > 1)
    np.testing.assert_array_equal((mask == 1)[sure], (across < 3)[sure])
    assert not mask[(along < -4) | (along > length + 4)].any()


def test_stored_mask(draw):
    stencil = np.random.default_rng(3).integers(0, 2, (20, 30)).astype(bool)
    buffer = io.BytesIO()
    Image.fromarray(stencil).save(buffer, "PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    mask = draw([shape("car", "mask", [[15, 22], [44, 41]], mask=encoded)])
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[22:42, 15:45][stencil] = 1
    np.testing.assert_array_equal(mask, expected)


def test_later_shapes_lie_on_top(draw):
    whole = [[-5, -5], [90, 70]]
    inner = [[20, 20], [40, 40]]
    mask = draw([shape("road", "rectangle", whole), shape("car", "rectangle", inner)])
    assert (mask[20:41, 20:41] == 1).all()
    assert (mask == 2).sum() == HEIGHT * WIDTH - 21 * 21


def test_void_and_background_labels(draw):
    mask = draw(
        [
            shape("car", "rectangle", [[0, 0], [79, 59]]),
            shape("__ignore__", "rectangle", [[0, 0], [9, 9]]),
            shape("_background_", "rectangle", [[20, 0], [29, 9]]),
        ]
    )
    assert (mask[:10, :10] == 255).all()
    assert (mask[:10, 20:30] == 0).all()
    assert (mask == 1).sum() == HEIGHT * WIDTH - 200


def test_outside_as_void(draw):
    mask = draw([shape("car", "rectangle", [[0, 0], [9, 9]])], outside="void")
    assert (mask[:10, :10] == 0).all()  # no background among the classes
    assert (mask == 255).sum() == HEIGHT * WIDTH - 100


def test_classes_are_the_labels_sorted(tmp_path):
    for index, label in enumerate(["road", "car", "road", "void"]):
        write(tmp_path / "json", f"a{index}", [shape(label, "rectangle", [[0, 0], [9, 9]])])
    prepared = prepare_labelme(str(tmp_path / "json"), tmp_path / "out")
    assert prepared.class_names == ("background", "car", "road")
    assert prepared.splits == {"train": 3, "val": 1}


def test_images_inside_the_files(tmp_path):
    contents = {
        f"{name}.jpg": write(tmp_path / "json", name, [shape("car", "point", [[5, 5]])], "inside")
        for name in ("a", "b")
    }
    prepare_labelme(str(tmp_path / "json"), tmp_path / "out")
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*/images/*")}
    assert written == contents


@pytest.mark.parametrize(
    "shapes, more, expected",
    [
        ([shape("raod", "polygon", [[0, 0], [9, 9], [0, 9]])], {}, "'raod'. Did you mean 'road'?"),
        ([shape("road", "polygon", [[0, 0], [9, 9]])], {}, "shapes[0]: expected one of polygon"),
        ([shape("road", "spline", [[0, 0]] * 5)], {}, "Found: 'spline' with 5 points"),
        ([{"label": "road"}], {}, "shapes[0].points: expected this key. Found: none"),
        ([shape("road", "mask", [[0, 0], [1, 1]], mask="?")], {}, "expected a PNG in base64"),
        ([], {"imageHeight": 50}, "a.json: expected a mask of 60x80 (height x width). Found: 50"),
        (None, {}, "a.json: expected a LabelMe file"),
        ([], {"imageHeight": None}, "a.json: expected a LabelMe file"),
    ],
)  # fmt: skip
def test_errors(tmp_path, shapes, more, expected):
    write(tmp_path / "json", "a", shapes, **more)
    write(tmp_path / "json", "b", [])
    with pytest.raises(ValueError) as error:
        prepare_labelme(str(tmp_path / "json"), tmp_path / "out", classes="car,road")
    assert expected in str(error.value)
    assert not (tmp_path / "out").exists()


def test_no_image(tmp_path):
    write(tmp_path / "json", "a", [shape("car", "point", [[5, 5]])], image="none")
    with pytest.raises(ValueError, match=r"expected the image '../pictures/a.jpg' beside it"):
        prepare_labelme(str(tmp_path / "json"), tmp_path / "out")
