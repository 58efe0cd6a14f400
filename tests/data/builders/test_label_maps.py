"""Ids, names and colours against published tables, which `published/` holds.

Its files come from other places than the package's tables: cityscapesscripts' `labels.py`;
GluonCV's list and palette of ADE20K; `labels.txt` of COCO-Stuff; panopticapi's
`panoptic_coco_categories.json` (all stuff, and the things around gaps in the ids); CamVid's
`label_colors.txt`; the 459 labels of PASCAL-Context.
"""

from pathlib import Path

import numpy as np
import pytest

from keras_ctxseg.data import registry
from keras_ctxseg.data.builders import (
    ade20k,
    camvid,
    cityscapes,
    coco_classes,
    coco_stuff,
    pascal_context,
    pascal_voc,
)
from keras_ctxseg.data.builders.published import class_id_table, voc_palette

TABLES = Path(__file__).parent / "published"

# Examples by split, as the data sets' own pages and papers state them.
SPLITS = {
    "ade20k": {"train": 20210, "val": 2000},
    "camvid": {"train": 367, "val": 101, "test": 233},
    "cifar10": {"train": 50000, "test": 10000},
    "cityscapes": {"train": 2975, "val": 500, "test": 1525},
    "coco_panoptic": {"train": 118287, "val": 5000},
    "coco_stuff": {"train": 118287, "val": 5000},
    "oxford_iiit_pet": {"train": 3680, "test": 3669},
    "pascal_context": {"train": 4998, "val": 5105},
    "pascal_voc_2012": {"train": 1464, "val": 1449, "trainval": 2913, "train_aug": 10582},
}


def rows(name):
    return [line.split("\t") for line in (TABLES / name).read_text().splitlines()]


def hexadecimal(color):
    return "{:02x}{:02x}{:02x}".format(*color)


@pytest.mark.parametrize("name", SPLITS)
def test_splits_and_facts(name):
    facts = registry.published(name)
    assert facts.name == name
    assert dict(facts.splits) == SPLITS[name]
    assert set(facts.prepared_splits) == set(facts.splits)
    assert len(set(facts.class_names)) == len(facts.class_names)
    for text in (facts.homepage, facts.licence, facts.citation, facts.how_to_get):
        assert len(text) > 20


def test_data_sets_without_a_publication_have_no_facts():
    assert registry.published("folder") is None
    assert {name for name in registry.list_datasets() if registry.published(name)} == set(SPLITS)


def test_cityscapes():
    ids = cityscapes.train_ids()
    published = rows("cityscapes.tsv")
    assert len(published) == 34
    for label_id, train_id, color, name in published:
        assert ids[int(label_id)] == int(train_id)
        if train_id != "255":
            assert cityscapes.PUBLISHED.class_names[int(train_id)] == name
            assert hexadecimal(cityscapes.PUBLISHED.palette[int(train_id)]) == color
    assert len(cityscapes.PUBLISHED.class_names) == 19
    table = class_id_table(ids)
    assert table[34] == -1 and table.dtype == np.int16


def test_ade20k():
    published = rows("ade20k.tsv")
    assert [int(index) for index, _, _ in published] == list(range(1, 151))
    words = [name.split(",")[0].strip() for _, _, name in published]
    assert list(ade20k.CLASS_NAMES) == words
    assert [hexadecimal(color) for color in ade20k.PALETTE] == [color for _, color, _ in published]


def test_pascal_voc():
    # The colour map of the development kit, written bit by bit as it is there.
    for index, color in enumerate(voc_palette(256)):
        expected, rest = [0, 0, 0], index
        for position in range(8):
            for channel in range(3):
                expected[channel] |= (rest >> channel & 1) << (7 - position)
            rest >>= 3
        assert list(color) == expected
    names = pascal_voc.CLASS_NAMES
    assert len(names) == 21
    assert names[1:] == tuple(sorted(names[1:]))
    palette = dict(zip(names, map(tuple, pascal_voc.PUBLISHED.palette), strict=True))
    assert palette["person"] == (192, 128, 128)
    assert palette["tvmonitor"] == (0, 64, 128)
    assert palette["background"] == (0, 0, 0)


def test_pascal_context():
    labels = (TABLES / "pascal_context_459.txt").read_text().strip().split(", ")
    assert len(labels) == pascal_context.LABELS
    assert [labels[index - 1] for index in pascal_context.RAW_IDS] == [*pascal_context.CLASS_NAMES]
    assert len(pascal_context.CLASS_NAMES) == 59
    assert {*pascal_voc.CLASS_NAMES} - {"background"} - {*pascal_context.CLASS_NAMES} == {
        "diningtable"  # "table" there
    }
    assert pascal_context.published(60).class_names[0] == "background"


def test_coco_stuff():
    published = dict(
        line.split(": ") for line in (TABLES / "coco_stuff_labels.txt").read_text().splitlines()
    )
    # COCO never annotated these; its README names them.
    removed = "blender, desk, door, eye glasses, hair brush, hat, mirror, plate, shoe, "
    removed += "street sign, window"
    kept = [int(index) for index, name in published.items() if name not in removed.split(", ")]
    assert list(coco_classes.STUFF_IDS) == kept
    assert len(kept) == 171
    assert [published[str(index)] for index in kept] == list(coco_classes.STUFF_NAMES)
    ids = coco_stuff.class_ids()
    assert ids[0] == 0 and ids[181] == 170 and ids[255] == 255 and 11 not in ids


def test_coco_panoptic():
    own = {
        index: (hexadecimal(color), name)
        for index, color, name in zip(
            coco_classes.PANOPTIC_IDS,
            coco_classes.PANOPTIC_PALETTE,
            coco_classes.PANOPTIC_NAMES,
            strict=True,
        )
    }
    published = rows("coco_panoptic.tsv")
    assert len(own) == 133
    assert {int(index): (color, name) for index, color, name in published}.items() <= own.items()
    stuff = [int(index) for index, _, _ in published if int(index) > 90]
    assert stuff == list(coco_classes.PANOPTIC_IDS[coco_classes.NUM_THINGS :])
    labels = dict(
        line.split(": ") for line in (TABLES / "coco_stuff_labels.txt").read_text().splitlines()
    )
    assert all(own[index][1] == labels[str(index)] for index in own if index <= 182)


def test_camvid():
    published = {name: tuple(map(int, color.split())) for color, name in rows("camvid_colors.txt")}
    own = {name: color for labels in camvid.CLASSES.values() for name, color in labels.items()}
    assert {**own, "Void": camvid.VOID} == published
    assert len(published) == 32
    # The 11 classes, by the labels that each takes in (Sturgess et al., as SegNet used them).
    assert {name: set(labels) for name, labels in camvid.CLASSES.items()} == {
        "sky": {"Sky"},
        "building": {"Archway", "Bridge", "Building", "Tunnel", "Wall"},
        "pole": {"Column_Pole", "TrafficCone"},
        "road": {"Road", "LaneMkgsDriv", "LaneMkgsNonDriv"},
        "pavement": {"Sidewalk", "ParkingBlock", "RoadShoulder"},
        "tree": {"Tree", "VegetationMisc"},
        "sign_symbol": {"SignSymbol", "Misc_Text", "TrafficLight"},
        "fence": {"Fence"},
        "car": {"Car", "SUVPickupTruck", "Truck_Bus", "Train", "OtherMoving"},
        "pedestrian": {"Pedestrian", "Child", "CartLuggagePram", "Animal"},
        "bicyclist": {"Bicyclist", "MotorcycleScooter"},
    }
    with pytest.raises(ValueError, match="32 colours of CamVid. Found: #010203"):
        camvid.label_from_colors(np.array([[[1, 2, 3]]], np.uint8))


def test_camvid_splits():
    # The frames as the archive numbers them: every 30th, and every other one of a stretch.
    frames = {
        *(f"0001TP_{frame:06d}" for frame in range(6690, 10381, 30)),
        *(f"0006R0_f{frame:05d}" for frame in range(930, 3931, 30)),
        *(f"Seq05VD_f{frame:05d}" for frame in range(0, 5101, 30)),
        *(f"0016E5_{frame:05d}" for frame in range(7959, 8160, 2)),
    }
    counts = dict.fromkeys(("train", "validation", "test"), 0)
    for frame in frames:
        counts[camvid.split_of(frame)] += 1
    assert counts == {"train": 62 + 101, "validation": 101, "test": 62 + 171}
    assert camvid.split_of("0016E5_07920") == camvid.split_of("0016E5_08190") == "train"


@pytest.mark.parametrize("name", SPLITS)
def test_the_guide_states_the_same(name):
    guide = Path(__file__).parents[3] / "docs" / "data.md"
    lines = guide.read_text().splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{name}` | ") and "| train " in line]
    _, _, classes, splits, *_ = (cell.strip() for cell in row.split("|"))
    assert splits == ", ".join(f"{split} {count}" for split, count in SPLITS[name].items())
    facts = registry.published(name)
    assert int(classes.split()[0].strip(",")) == len(facts.class_names)
