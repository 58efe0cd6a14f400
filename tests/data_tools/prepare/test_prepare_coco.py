"""COCO's polygons and run lengths against a decoder written out here."""

import json

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from PIL import Image

from keras_ctxseg.cli import main
from keras_ctxseg.data_tools.prepare import prepare_coco

HEIGHT, WIDTH = 48, 64


def run_lengths(mask):
    """COCO's plain RLE: lengths of runs down the columns, zeros first."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    counts = np.diff(edges).tolist()
    return [0, *counts] if flat[0] else counts


def compressed(counts):
    """COCO's compressed RLE: differences to the run before the last, 5 bits in a character."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text += chr((bits | 0x20 if more else bits) + 48)
    return text


def rle(mask, packed=False):
    counts = run_lengths(mask)
    return {"size": [HEIGHT, WIDTH], "counts": compressed(counts) if packed else counts}


@pytest.fixture
def draw(tmp_path, labels_of):
    """Prepares one image of annotations (and an empty second one); returns its mask."""

    def draw(*annotations, **options):
        write(tmp_path, annotations)
        prepare_coco(str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out", **options)
        return labels_of(tmp_path / "out")["sub__a"]

    return draw


def write(folder, annotations, **more):
    (folder / "sub").mkdir(exist_ok=True)
    for name in ("a", "b"):
        Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"sub/{name}.jpg")
    content = {
        "images": [
            {"id": 40 + i, "file_name": f"sub/{name}.jpg", "height": HEIGHT, "width": WIDTH}
            for i, name in enumerate("ab")
        ],
        "categories": [{"id": 90, "name": "tree"}, {"id": 3, "name": "car"}],
        "annotations": [
            {"id": index, "image_id": 40, "iscrowd": 0, **annotation}
            for index, annotation in enumerate(annotations)
        ],
        **more,
    }
    (folder / "a.json").write_text(json.dumps(content))


@pytest.mark.parametrize("packed", [False, True])
def test_run_lengths(draw, rng, packed):
    region = rng.random((HEIGHT, WIDTH)) < 0.3
    region[0, 0] = packed  # runs may begin with none
    mask = draw({"category_id": 90, "segmentation": rle(region, packed)})
    np.testing.assert_array_equal(mask, np.where(region, 2, 0))  # ids follow the categories'


def test_polygons_of_one_object(draw):
    first, second = [5.0, 5.0, 40.5, 8.0, 20.0, 40.0], [45.0, 20.0, 60.0, 20.0, 60.0, 45.0]
    mask = draw({"category_id": 3, "segmentation": [first, second]})
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    centres = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 1)
    inside = np.zeros(HEIGHT * WIDTH, bool)
    sure = np.ones(HEIGHT * WIDTH, bool)
    for polygon in (first, second):
        outline = Outline(np.array(polygon).reshape(-1, 2))
        inside |= outline.contains_points(centres)
        wide, narrow = (outline.contains_points(centres, radius=r) for r in (1.5, -1.5))
        sure &= wide == narrow
    assert sure.mean() > 0.85
    np.testing.assert_array_equal((mask.ravel() == 1)[sure], inside[sure])


def test_small_objects_lie_on_large_ones(draw):
    large, small = np.zeros((2, HEIGHT, WIDTH), bool)
    large[10:40, 10:50] = True
    small[20:30, 20:60] = True
    mask = draw(
        {"category_id": 3, "segmentation": rle(small)},
        {"category_id": 90, "segmentation": rle(large)},
    )
    np.testing.assert_array_equal(mask, np.where(small, 1, np.where(large, 2, 0)))


@pytest.mark.parametrize("crowd, value", [("void", 255), ("class", 1), ("skip", 0)])
def test_crowds_lie_below_objects(draw, crowd, value):
    people, tree = np.zeros((2, HEIGHT, WIDTH), bool)
    people[:20, :20] = True
    tree[:30, 10:50] = True  # larger, and yet on top
    mask = draw(
        {"category_id": 3, "iscrowd": 1, "segmentation": rle(people)},
        {"category_id": 90, "segmentation": rle(tree)},
        crowd=crowd,
    )
    np.testing.assert_array_equal(mask, np.where(tree, 2, np.where(people, value, 0)))


def test_chosen_classes_and_void_outside(draw):
    region, other = np.zeros((2, HEIGHT, WIDTH), bool)
    region[:9], other[20:29] = True, True
    mask = draw(
        {"category_id": 90, "segmentation": rle(region)},
        {"category_id": 3, "segmentation": rle(other)},
        classes="tree",
        outside="void",
    )
    np.testing.assert_array_equal(mask, np.where(region, 0, 255))


def test_degenerate_polygons_are_no_area(draw):
    assert not draw({"category_id": 3, "segmentation": [[1, 1, 9, 9]]}).any()


@pytest.mark.parametrize(
    "annotation, expected",
    [
        ({"category_id": 4}, "annotation 0: category_id 4 is not listed"),
        ({"category_id": 3, "image_id": 7}, "annotation 0: image_id 7 is not listed"),
        ({"category_id": 3, "segmentation": None}, "annotation 0: expected polygons or RLE"),
        ({"category_id": 3, "segmentation": {"size": [9, 9], "counts": [81]}}, "RLE of 48x64"),
    ],
)  # fmt: skip
def test_errors(tmp_path, annotation, expected):
    write(tmp_path, [annotation])
    with pytest.raises(ValueError) as error:
        prepare_coco(str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out")
    assert expected in str(error.value)
    assert not (tmp_path / "out").exists()


def test_skip_errors_leaves_out_the_shape_and_says_so(tmp_path, labels_of):
    region = np.zeros((HEIGHT, WIDTH), bool)
    region[:9] = True
    write(
        tmp_path,
                    [{"category_id": 3, "segmentation": rle(region)},
                     {"category_id": 90, "segmentation": [[1, 1, 1e300, 5, 9, 9]]},
                     {"category_id": 90, "segmentation": rle(region) | {"counts": [5]}},
                     {"category_id": 90, "segmentation": [[1, 1, float("nan"), 5, 9, 9]]}],
    )  # fmt: skip
    prepared = prepare_coco(
        str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out", skip_errors=True
    )
    np.testing.assert_array_equal(labels_of(tmp_path / "out")["sub__a"], region)
    texts = "\n".join(map(str, prepared.skipped))
    assert "annotation 1.segmentation[0]: expected coordinates near the image" in texts
    assert "annotation 2: expected run lengths of 3072 pixels in all. Found: 5" in texts
    assert "annotation 3.segmentation[0][2]: expected a finite number. Found: nan" in texts


def test_splits_are_drawn_after_errors_are_known(tmp_path):
    write(tmp_path, [{"category_id": 3, "segmentation": [[1, 1, 9, 9, 1, 9]]}])
    content = json.loads((tmp_path / "a.json").read_text())
    for number in range(8):  # of ten images two can be used: one for each split
        content["images"].append(
            {"id": number, "file_name": f"{number}.jpg", "height": HEIGHT, "width": WIDTH}
        )
        (tmp_path / f"{number}.jpg").write_bytes(b"no image")
    (tmp_path / "a.json").write_text(json.dumps(content))
    prepared = prepare_coco(
        str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out", skip_errors=True
    )
    assert prepared.splits == {"train": 1, "val": 1}
    assert prepared.random_seed == 0 and len(prepared.skipped) == 8
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "classes.json", "train", "val"
    ]  # fmt: skip


def test_names_of_other_systems(tmp_path, labels_of):
    write(tmp_path, [{"category_id": 3, "segmentation": [[1, 1, 9, 9, 1, 9]]}])
    content = json.loads((tmp_path / "a.json").read_text())
    for image, stated in zip(content["images"], ("sub\\a.jpg", "sub/caf\u00e9.jpg"), strict=True):
        image["file_name"] = stated
    (tmp_path / "sub/b.jpg").rename(tmp_path / "sub/cafe\u0301.jpg")  # as macOS writes it
    (tmp_path / "a.json").write_text(json.dumps(content))
    prepare_coco(str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out")
    assert set(labels_of(tmp_path / "out")) == {"sub__a", "sub__caf\u00e9"}


def test_more_classes_than_a_mask_can_hold(tmp_path):
    write(tmp_path, [], categories=[{"id": n, "name": f"c{n}"} for n in range(300)])
    with pytest.raises(ValueError, match="at most 255 classes. Found: 301; choose"):
        prepare_coco(str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out")


def test_misspelt_class(tmp_path):
    write(tmp_path, [])
    with pytest.raises(ValueError, match=r"Received: 'tre'. Did you mean 'tree'\?"):
        prepare_coco(str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out", classes="tre")


def test_another_json_file(tmp_path):
    (tmp_path / "a.json").write_text('{"shapes": []}')
    with pytest.raises(ValueError, match="expected COCO's lists annotations, categories, images"):
        prepare_coco(str(tmp_path / "a.json"), str(tmp_path), tmp_path / "out")


def test_command_with_splits_that_exist(tmp_path, capsys, rng):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        region = rng.random((HEIGHT, WIDTH)) < 0.5
        write(tmp_path / split, [{"category_id": 3, "segmentation": rle(region, True)}])
    arguments = [str(tmp_path / "{split}/a.json"), "--images", str(tmp_path / "{split}"),
                 "--splits", "train,val", "--output", str(tmp_path / "out")]  # fmt: skip
    assert main(["prepare-data", "coco", *arguments]) == 0
    assert "2 in train, 2 in val; 3 classes" in capsys.readouterr().out
