"""Each fault alone, in a copy of a data set without one: its finding, its file, its severity."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.data_tools.checks import KINDS, check

IMAGE, MASK = "train/images/train1.png", "train/labels/train1.png"
VAL_IMAGE, VAL_MASK = "val/images/val2.png", "val/labels/val2.png"
FAULTS = {}


def fault(code, path, severity):
    """Registers a function that spoils the folder it is given."""

    def register(function):
        FAULTS[function.__name__] = (function, code, path, severity)
        return function

    return register


def ids(path):
    return np.array(Image.open(path))


def save(array, path):
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def set_classes(root, **content):
    (root / "classes.json").write_text(json.dumps(content))


@fault("size_mismatch", MASK, "error")
def mask_of_another_size(root):
    save(ids(root / MASK)[:-1], root / MASK)


@fault("unknown_ids", MASK, "error")
def undeclared_id(root):
    mask = ids(root / MASK)
    mask[3, 4] = 77
    save(mask, root / MASK)


@fault("mask_format", MASK, "error")
def colours_taken_for_ids(root):
    save(np.eye(3)[ids(root / MASK) % 3] * 255, root / MASK)


@fault("mask_format", MASK, "error")
def palette_taken_for_ids(root):
    mask = Image.open(root / MASK)
    mask.putpalette(list(range(30)))
    mask.save(root / MASK)


@fault("unreadable", IMAGE, "error")
def no_image_inside(root):
    (root / IMAGE).write_bytes(b"GIF87a, or so it says")


@fault("unreadable", MASK, "error")
def empty_mask_file(root):
    (root / MASK).write_bytes(b"")


@fault("truncated", IMAGE, "error")
def truncated_image(root):
    content = (root / IMAGE).read_bytes()
    (root / IMAGE).write_bytes(content[: len(content) // 2])


@fault("truncated", MASK, "error")
def truncated_mask(root):
    (root / MASK).write_bytes((root / MASK).read_bytes()[:-40])


@fault("missing_mask", IMAGE, "error")
def image_without_mask(root):
    (root / MASK).unlink()


@fault("missing_image", VAL_MASK, "error")
def mask_without_image(root):
    (root / VAL_IMAGE).unlink()


@fault("same_name", "train/images/train1.png", "error")
def two_images_of_one_name(root):
    Image.open(root / IMAGE).save((root / IMAGE).with_suffix(".jpg"))


@fault("too_small", IMAGE, "error")
def image_below_33_pixels(root):
    for path in (IMAGE, MASK):
        save(ids(root / path)[:32], root / path)


@fault("leakage", VAL_IMAGE, "error")
def one_image_in_two_splits(root):
    shutil.copy(root / IMAGE, root / VAL_IMAGE)


@fault("near_leakage", "val/images/val2.jpg", "warning")
def recoded_image_in_two_splits(root):
    (root / VAL_IMAGE).unlink()
    image = Image.open(root / IMAGE)
    image.save((root / VAL_IMAGE).with_suffix(".jpg"), quality=90)


@fault("duplicate", "train/images/train4.png", "warning")
def one_image_twice_in_a_split(root):
    shutil.copy(root / IMAGE, root / "train/images/train4.png")


@fault("near_duplicate", "train/images/train4.png", "warning")
def resized_image_twice_in_a_split(root):
    Image.open(root / IMAGE).resize((320, 256)).save(root / "train/images/train4.png")
    Image.open(root / MASK).resize((320, 256), 0).save(root / "train/labels/train4.png")


@fault("all_ignored", MASK, "warning")
def mask_of_void_alone(root):
    save(np.full((128, 160), 9), root / MASK)


@fault("constant_mask", MASK, "warning")
def mask_of_one_class(root):
    save(np.full((128, 160), 2), root / MASK)


@fault("mostly_ignored", "val/labels", "warning")
def split_that_is_mostly_void(root):
    for path in sorted((root / "val/labels").iterdir()):
        mask = ids(path)
        mask[:, 60:] = 9
        save(mask, path)


@fault("absent_class", "val/labels", "warning")
def class_absent_from_validation(root):
    for path in (root / "val/labels").iterdir():
        mask = ids(path)
        save(np.where(mask == 3, 2, mask), path)


@fault("absent_class", "train/labels", "warning")
def class_absent_from_training(root):
    for path in (root / "train/labels").iterdir():
        mask = ids(path)
        save(np.where(mask == 1, 2, mask), path)


@fault("exif_turned", IMAGE, "warning")
def image_turned_by_exif(root):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(root / IMAGE).save(root / IMAGE, exif=exif)


@fault("lossy_mask", "val/labels/val2.jpg", "warning")
def mask_as_jpeg(root):
    (root / VAL_MASK).unlink()
    # Constant over 8x8 blocks, so that coding happens to keep the ids.
    Image.fromarray(np.full((128, 160), 2, np.uint8)).save(
        (root / VAL_MASK).with_suffix(".jpg"), quality=100
    )


@fault("class_file", "classes.json", "error")
def class_file_of_another_tool(root):
    set_classes(root, names=["sky", "building", "road", "car"])


@fault("class_file", "classes.json", "error")
def no_class_file(root):
    (root / "classes.json").unlink()


@fault("one_class", "train/labels", "error")
def classes_of_which_training_knows_one(root):
    # The usual 0 and 255 of a binary mask: 255 is void unless the class file says otherwise.
    set_classes(root, classes=["background", "crack"])
    for path in root.glob("*/labels/*.png"):
        save(np.where(ids(path) > 1, 255, 0), path)


@fault("layout", "val/labels", "error")
def no_folder_of_masks(root):
    shutil.rmtree(root / "val/labels")


@fault("no_validation", ".", "warning")
def no_split_to_validate_on(root):
    shutil.rmtree(root / "val")


@fault("split_names", ".", "warning")
def splits_of_names_that_recipes_do_not_have(root):
    (root / "val").rename(root / "holdout")


@fault("image_values", IMAGE.replace(".png", ".npy"), "error")
def float_values(root):
    np.save(root / IMAGE.replace(".png", ".npy"), np.random.rand(*ids(root / IMAGE).shape))
    (root / IMAGE).unlink()


@fault("narrow_range", ".", "warning")
def values_of_twelve_bits(root):
    grey = ids(root / IMAGE)[..., 0].astype(np.uint16) * 16
    Image.fromarray(grey).save(root / IMAGE)


@fault("alpha_dropped", IMAGE, "warning")
def fourth_channel(root):
    image = ids(root / IMAGE)
    save(np.concatenate([image, image[..., :1]], -1), root / IMAGE)


@fault("too_large", IMAGE, "error")
def image_above_the_limit(root):
    shape = ids(root / IMAGE).shape
    content = json.loads((root / "classes.json").read_text())
    limit = {"max_pixels": shape[0] * shape[1]}
    (root / "classes.json").write_text(json.dumps({**content, "images": limit}))
    for path in (IMAGE, MASK):
        array = ids(root / path)
        save(np.concatenate([array, array[:1]]), root / path)


@fault("skipped_file", "train/images/train9.heic", "warning")
def image_of_a_format_that_nobody_reads(root):
    (root / "train/images/train9.heic").write_bytes(b"ftypheic")


# What a fault brings with it.
ACCOMPANIED = {
    "mask_as_jpeg": {"constant_mask"},
    "classes_of_which_training_knows_one": {"absent_class", "mostly_ignored"},
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted(photos, name):
    plant, code, path, severity = FAULTS[name]
    plant(photos)
    report = check(photos)
    matching = [finding for finding in report.findings if finding.code == code]
    assert {finding.path for finding in matching} == {photos / path}
    assert {finding.severity for finding in matching} == {severity}
    others = {finding.code for finding in report.findings} - {code}
    assert others <= ACCOMPANIED.get(name, set())
    assert bool(report.errors) == (severity == "error")
    assert str(photos / path) in report.table()


def test_every_kind_is_planted():
    assert {code for _, code, _, _ in FAULTS.values()} == set(KINDS)


def test_silent_on_the_clean_one(photos):
    report = check(photos)
    assert report.findings == ()
    assert "Nothing to mend was found." in report.table()


def test_faults_together_are_all_found(photos):
    for name in ("undeclared_id", "truncated_image", "mask_without_image"):
        FAULTS[name][0](photos)
    codes = [finding.code for finding in check(photos).errors]
    assert codes == ["missing_image", "truncated", "unknown_ids"]


@pytest.mark.parametrize(
    "name, expected",
    [
        ("palette_taken_for_ids", "data.options.mask_format=palette"),
        ("colours_taken_for_ids", "ctxseg prepare-data masks --images"),
        ("class_file_of_another_tool", '{"classes": ["sky", "building", "road", "car"]}'),
        ("no_class_file", '{"classes": ["class 0", "class 1", "class 2", "class 3"'),
        ("splits_of_names_that_recipes_do_not_have", "data.validation_split=NAME"),
        ("classes_of_which_training_knows_one", '"label_map": {"0": 0, "255": 1}, "void": []'),
        ("mask_without_image", "ctxseg prepare-data clean"),
        ("recoded_image_in_two_splits", "--group-by REGEX"),
        ("no_split_to_validate_on", "ctxseg prepare-data split"),
        ("image_turned_by_exif", "data.options.exif=keep"),
        ("values_of_twelve_bits", "data.options.range=auto"),
        ("fourth_channel", "data.options.bands=[1,2,3,4]"),
        ("float_values", '"range": "auto"'),
        ("image_above_the_limit", "prepare-data tile"),
    ],
)
def test_advice(photos, name, expected):
    FAULTS[name][0](photos)
    assert expected in check(photos).table()


@pytest.mark.parametrize(
    "text, line",
    [
        ('{\n "classes": ["sky", "building", "road", "car"],\n "viod": 9\n}', '"viod": 9'),
        ('{\n "classes": ["sky", "building", "road", "car"],\n "void": "9"\n}', '"void": "9"'),
        ('{\n "classes": ["sky", "building", "road", "car"],\n "void": 9,\n}', 'line 3, "void"'),
        ("{\n 'classes': ['sky', 'building', 'road', 'car']}", "line 2, 'classes'"),
        ('{"classes": {"0": "sky", "1": "building", "2": "road", "3": "car"}}', "line 1"),
        ('{"classes": ["sky", "building", "road", "car", "car"]}', "line 1"),
    ],
)  # fmt: skip
def test_a_class_file_with_one_fault_keeps_its_names(photos, text, line):
    (photos / "classes.json").write_text(text)
    advice = check(photos).advice["class_file"]
    assert '{"classes": ["sky", "building", "road", "car"]}' in advice
    assert line in advice and "class 0" not in advice


def test_a_mark_before_the_class_file_is_no_fault(photos):
    text = (photos / "classes.json").read_text()
    (photos / "classes.json").write_text(text, encoding="utf-8-sig")
    assert check(photos).findings == ()


@pytest.mark.parametrize("name", ["valid", "validation"])
def test_other_words_for_a_split_are_known(photos, name):
    (photos / "val").rename(photos / name)
    (photos / "train").rename(photos / "training")
    report = check(photos)
    assert set(report.splits) == {"train", "val"} and report.findings == ()


def test_several_void_ids_in_a_mask_without_labels(photos):
    set_classes(photos, classes=["sky", "building", "road", "car"], void=[9, 10])
    mask = np.full((128, 160), 9)
    mask[40:] = 10
    save(mask, photos / MASK)
    assert [finding.code for finding in check(photos).findings] == ["all_ignored"]


def test_ids_that_start_at_one_are_told_from_others(photos):
    for path in photos.glob("*/labels/*.png"):
        mask = ids(path)
        save(np.where(mask == 9, 255, mask + 1), path)
    set_classes(photos, classes=["sky", "building", "road", "car"])
    table = check(photos).table()
    assert '"label_map": {"1": 0, "2": 1, "3": 2, "4": 3}' in table
    assert "ids found     1 ... 4, 255" in table
