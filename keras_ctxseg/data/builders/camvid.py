"""CamVid at its full size, 720x960: 32 colours to the 11 classes of SegNet's authors."""

import os
from typing import ClassVar

import numpy as np
from etils import epath
from PIL import Image

from keras_ctxseg.data.builders.builder import (
    SegmentationBuilder,
    example,
    folder_of,
    load_prepared,
)
from keras_ctxseg.data.builders.published import PublishedDataset, contiguous_ids
from keras_ctxseg.data.dataset import SegmentationDataset
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

# Class -> the published labels that it holds, with their colours; the first one gives the class
# its own colour. `Void` is ignored.
CLASSES = {
    "sky": {"Sky": (128, 128, 128)},
    "building": {
        "Building": (128, 0, 0),
        "Archway": (192, 0, 128),
        "Bridge": (0, 128, 64),
        "Tunnel": (64, 0, 64),
        "Wall": (64, 192, 0),
    },
    "pole": {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
    "road": {
        "Road": (128, 64, 128),
        "LaneMkgsDriv": (128, 0, 192),
        "LaneMkgsNonDriv": (192, 0, 64),
    },
    "pavement": {
        "Sidewalk": (0, 0, 192),
        "ParkingBlock": (64, 192, 128),
        "RoadShoulder": (128, 128, 192),
    },
    "tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    "sign_symbol": {
        "SignSymbol": (192, 128, 128),
        "Misc_Text": (128, 128, 64),
        "TrafficLight": (0, 64, 64),
    },
    "fence": {"Fence": (64, 64, 128)},
    "car": {
        "Car": (64, 0, 128),
        "SUVPickupTruck": (64, 128, 192),
        "Truck_Bus": (192, 128, 192),
        "Train": (192, 64, 128),
        "OtherMoving": (128, 64, 64),
    },
    "pedestrian": {
        "Pedestrian": (64, 64, 0),
        "Child": (192, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Animal": (64, 128, 64),
    },
    "bicyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
}
VOID = (0, 0, 0)

PUBLISHED = PublishedDataset(
    name="camvid",
    title="CamVid, 11 classes",
    class_names=tuple(CLASSES),
    palette=np.array([next(iter(labels.values())) for labels in CLASSES.values()], np.uint8),
    splits={"train": 367, "val": 101, "test": 233},
    prepared_splits={"train": ("train",), "val": ("validation",), "test": ("test",)},
    homepage="http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    licence="For research; the homepage states no licence.",
    citation="""@article{brostow2009semantic,
  title={Semantic object classes in video: A high-definition ground truth database},
  author={Brostow, Gabriel J. and Fauqueur, Julien and Cipolla, Roberto},
  journal={Pattern Recognition Letters}, volume={30}, number={2}, pages={88--97}, year={2009}}""",
    how_to_get="It is downloaded (0.6 GB); or unpack 701_StillsRaw_full.zip and "
    "LabeledApproved_full.zip yourself into one folder, with 701_StillsRaw_full/ and the label "
    "images in it, and give it as `source`.",
)


def split_of(name: str) -> str:
    """The split of an image, by the lists of SegNet's authors.

    Sequence Seq05VD and the frames of 0001TP after 8520 are the test set, the 101 frames 7959 to
    8159 of 0016E5 validate, all others train.
    """
    sequence, _, frame = name.partition("_")
    if sequence == "Seq05VD" or (sequence == "0001TP" and int(frame) > 8520):
        return "test"
    if sequence == "0016E5" and 7959 <= int(frame) <= 8159:
        return "validation"
    return "train"


def label_from_colors(rgb: np.ndarray) -> np.ndarray:
    """Class ids, uint8 `(height, width)`, from a published label image.

    Raises:
        ValueError: a colour that is none of the 32.
    """
    ids = {VOID: IGNORE_LABEL}
    for index, labels in enumerate(CLASSES.values()):
        ids.update(dict.fromkeys(labels.values(), index))
    packed = rgb.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    known = {red << 16 | green << 8 | blue: index for (red, green, blue), index in ids.items()}
    present, places = np.unique(packed, return_inverse=True)
    unknown = [f"#{color:06x}" for color in present if int(color) not in known]
    if unknown:
        raise ValueError(f"expected the 32 colours of CamVid. Found: {', '.join(unknown[:8])}")
    classes = np.array([known[int(color)] for color in present], np.uint8)
    return classes[places].reshape(packed.shape)


class CamVid(SegmentationBuilder):
    """701 frames of four drives; see `split_of` and `CLASSES`."""

    name = "camvid"
    PUBLISHED = PUBLISHED
    IMAGE_FORMAT = "png"
    URLS: ClassVar[dict[str, str]] = {
        "images": "http://web4.cs.ucl.ac.uk/staff/g.brostow/MotionSegRecData/files/"
        "701_StillsRaw_full.zip",
        "labels": "http://web4.cs.ucl.ac.uk/staff/g.brostow/MotionSegRecData/data/"
        "LabeledApproved_full.zip",
    }

    def _split_generators(self, dl_manager):
        folders = self._folders(dl_manager)
        images = sorted((folders["images"] / "701_StillsRaw_full").glob("*.png"))
        return {
            split: self._generate_examples(
                [image for image in images if split_of(image.stem) == split], folders["labels"]
            )
            for split in ("train", "validation", "test")
        }

    def _generate_examples(self, images: list[epath.Path], labels: epath.Path):
        for image in images:
            path = labels / f"{image.stem}_L.png"
            with path.open("rb") as file, Image.open(file) as picture:
                rgb = np.asarray(picture.convert("RGB"))
            try:
                yield example(image.stem, image, label_from_colors(rgb))
            except ValueError as error:
                raise OSError(f"{path}: {error}") from error


def load_camvid(
    *, data_dir: str | os.PathLike | None = None, source: str | os.PathLike | None = None
) -> SegmentationDataset:
    """CamVid: splits `train`, `val` and `test`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        source: a folder with the unpacked archives, instead of a download.
    """
    builder = CamVid(source=source, data_dir=folder_of(data_dir))
    return load_prepared(PUBLISHED, builder, contiguous_ids(len(CLASSES)))
