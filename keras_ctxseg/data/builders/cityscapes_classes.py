"""The classes of Cityscapes: 34 label ids to 19 train ids."""

import numpy as np

from keras_ctxseg.data.builders.published import PublishedDataset
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

# Name, label id, colour; the place in the list is the train id.
CLASSES = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
LABEL_IDS = 34

PUBLISHED = PublishedDataset(
    name="cityscapes",
    title="Cityscapes, fine annotations",
    class_names=tuple(name for name, _, _ in CLASSES),
    palette=np.array([color for _, _, color in CLASSES], np.uint8),
    splits={"train": 2975, "val": 500, "test": 1525},
    prepared_splits={"train": ("train",), "val": ("validation",), "test": ("test",)},
    homepage="https://www.cityscapes-dataset.com",
    licence="For non-commercial research and teaching after registration; see the homepage.",
    citation="""@inproceedings{cordts2016cityscapes,
  title={The Cityscapes Dataset for Semantic Urban Scene Understanding},
  author={Cordts, Marius and Omran, Mohamed and Ramos, Sebastian and Rehfeld, Timo and Enzweiler,
    Markus and Benenson, Rodrigo and Franke, Uwe and Roth, Stefan and Schiele, Bernt},
  booktitle={CVPR}, year={2016}}""",
    how_to_get="Register at https://www.cityscapes-dataset.com, download "
    "leftImg8bit_trainvaltest.zip (11 GB) and gtFine_trainvaltest.zip (241 MB), and give the "
    "folder that holds both as `manual_dir`.",
    thing_classes=tuple(range(11, 19)),  # person ... bicycle
)


def train_ids() -> dict[int, int]:
    """Label id 0 ... 33 -> train id 0 ... 18, or the ignore label."""
    known = {label_id: train_id for train_id, (_, label_id, _) in enumerate(CLASSES)}
    return {label_id: known.get(label_id, IGNORE_LABEL) for label_id in range(LABEL_IDS)}
