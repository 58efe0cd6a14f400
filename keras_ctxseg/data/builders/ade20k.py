"""ADE20K as the scene parsing challenge of 2016 has it: 150 classes, in the order of its ids."""

import os
from typing import ClassVar

import numpy as np
from etils import epath

from keras_ctxseg.data.builders.builder import (
    SegmentationBuilder,
    example,
    folder_of,
    load_prepared,
    paired,
    read_ids,
)
from keras_ctxseg.data.builders.published import PublishedDataset, colors, contiguous_ids, names
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

CLASS_NAMES = names("""
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf,
house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub,
railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink,
skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill,
bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade
machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman,
bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food,
step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket,
sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
monitor, bulletin board, shower, radiator, glass, clock, flag
""")

# The challenge's `color150.mat`.
PALETTE = colors("""
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d
787846 08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0
0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06
ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00
ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff 00ff70
00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99
ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52
000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00
08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff
9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00
00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8
005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
""")


PUBLISHED = PublishedDataset(
    name="ade20k",
    title="ADE20K, scene parsing challenge 2016",
    class_names=CLASS_NAMES,
    palette=PALETTE,
    splits={"train": 20210, "val": 2000},
    prepared_splits={"train": ("train",), "val": ("validation",)},
    homepage="http://sceneparsing.csail.mit.edu",
    licence="Images for non-commercial research, annotations under BSD-3; see the homepage.",
    citation="""@inproceedings{zhou2017scene,
  title={Scene Parsing through {ADE20K} Dataset},
  author={Zhou, Bolei and Zhao, Hang and Puig, Xavier and Fidler, Sanja and Barriuso, Adela and
    Torralba, Antonio},
  booktitle={CVPR}, year={2017}}""",
    how_to_get="It is downloaded (0.9 GB); or unpack ADEChallengeData2016.zip yourself and give "
    "the folder that holds ADEChallengeData2016/ as `source`.",
)


class Ade20k(SegmentationBuilder):
    """Stored id 0 ("other objects") is ignored, stored ids 1 ... 150 are the classes 0 ... 149."""

    name = "ade20k"
    PUBLISHED = PUBLISHED
    URLS: ClassVar[dict[str, str]] = {
        "ade": "http://data.csail.mit.edu/places/ADEchallenge/ADEChallengeData2016.zip",
    }

    def _split_generators(self, dl_manager):
        root = self._folders(dl_manager)["ade"] / "ADEChallengeData2016"
        return {
            split: self._generate_examples(root / "images" / folder, root / "annotations" / folder)
            for split, folder in (("train", "training"), ("validation", "validation"))
        }

    def _generate_examples(self, images: epath.Path, labels: epath.Path):
        for name, image, label in paired(images, labels):
            ids = read_ids(label).astype(np.int16) - 1
            yield example(name, image, np.where(ids < 0, IGNORE_LABEL, ids))


def load_ade20k(
    *, data_dir: str | os.PathLike | None = None, source: str | os.PathLike | None = None
) -> SegmentationDataset:
    """ADE20K: splits `train` and `val`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        source: a folder with the unpacked archive, instead of a download.
    """
    builder = Ade20k(source=source, data_dir=folder_of(data_dir))
    return load_prepared(PUBLISHED, builder, contiguous_ids(len(CLASS_NAMES)))


# The first of the words that the challenge's `objectInfo150.txt` gives for each id, from 1 on.
