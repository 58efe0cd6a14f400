"""PASCAL VOC 2012 segmentation, and its training set augmented by SBD."""

import os
from typing import ClassVar

import tensorflow_datasets as tfds
from etils import epath

from keras_ctxseg.data.builders.builder import (
    SegmentationBuilder,
    example,
    folder_of,
    load_prepared,
    read_ids,
    read_mat,
    read_names,
)
from keras_ctxseg.data.builders.published import PublishedDataset, contiguous_ids, voc_palette
from keras_ctxseg.data.dataset import SegmentationDataset

CLASS_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)

PUBLISHED = PublishedDataset(
    name="pascal_voc_2012",
    title="PASCAL VOC 2012 segmentation",
    class_names=CLASS_NAMES,
    palette=voc_palette(len(CLASS_NAMES)),
    splits={"train": 1464, "val": 1449, "trainval": 2913, "train_aug": 10582},
    prepared_splits={
        "train": ("train",),
        "val": ("validation",),
        "trainval": ("train", "validation"),
        "train_aug": ("train", "sbd"),
    },
    homepage="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    licence="Images are subject to Flickr's terms of use; see the homepage.",
    citation="""@article{everingham2015pascal,
  title={The {PASCAL} Visual Object Classes Challenge: A Retrospective},
  author={Everingham, Mark and Eslami, S. M. Ali and Van Gool, Luc and Williams, Christopher K. I.
    and Winn, John and Zisserman, Andrew},
  journal={International Journal of Computer Vision}, volume={111}, pages={98--136}, year={2015}}
@inproceedings{hariharan2011semantic,
  title={Semantic Contours from Inverse Detectors},
  author={Hariharan, Bharath and Arbelaez, Pablo and Bourdev, Lubomir and Maji, Subhransu and
    Malik, Jitendra},
  booktitle={ICCV}, year={2011}}""",
    how_to_get="It is downloaded (2 GB, with SBD 3.4 GB); or unpack the archives yourself into one "
    "folder, with VOCdevkit/ (and benchmark_RELEASE/) in it, and give it as `source`.",
)


class PascalVoc2012(SegmentationBuilder):
    """VOC 2012 as annotated by its authors; config `augmented` adds the images of SBD.

    255, the border of objects, is ignored. The augmented set is `train` and `sbd` together: the
    union of VOC's train and SBD's train and val lists, without VOC's val list, 10,582 images. An
    image that VOC annotated keeps VOC's annotation, border included (ours: lists of this set are
    published, but conversions differ in this).
    """

    name = "pascal_voc_2012"
    BUILDER_CONFIGS: ClassVar[list] = [
        tfds.core.BuilderConfig(name="voc", description="As published."),
        tfds.core.BuilderConfig(name="augmented", description="With the images of SBD."),
    ]
    PUBLISHED = PUBLISHED
    URLS: ClassVar[dict[str, str]] = {
        "voc": "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    }
    SBD_URLS: ClassVar[dict[str, str]] = {
        "sbd": "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
        "semantic_contours/benchmark.tgz",
    }

    def _split_generators(self, dl_manager):
        augmented = self.builder_config.name == "augmented"
        folders = self._folders(dl_manager, {**self.URLS, **(self.SBD_URLS if augmented else {})})
        voc = folders["voc"] / "VOCdevkit" / "VOC2012"
        lists = voc / "ImageSets" / "Segmentation"
        splits = {
            "train": self._generate_examples(voc, read_names(lists / "train.txt")),
            "validation": self._generate_examples(voc, read_names(lists / "val.txt")),
        }
        if augmented:
            sbd = folders["sbd"] / "benchmark_RELEASE" / "dataset"
            known = {*read_names(lists / "train.txt"), *read_names(lists / "val.txt")}
            listed = {*read_names(sbd / "train.txt"), *read_names(sbd / "val.txt")}
            splits["sbd"] = self._generate_sbd(sbd, sorted(listed - known))
        return splits

    def _generate_examples(self, voc: epath.Path, names: list[str]):
        for name in names:
            label = read_ids(voc / "SegmentationClass" / f"{name}.png")
            yield example(name, voc / "JPEGImages" / f"{name}.jpg", label)

    def _generate_sbd(self, sbd: epath.Path, names: list[str]):
        for name in names:
            label = read_mat(sbd / "cls" / f"{name}.mat")["GTcls"]["Segmentation"][0, 0]
            yield example(name, sbd / "img" / f"{name}.jpg", label)


def load_pascal_voc_2012(
    *,
    data_dir: str | os.PathLike | None = None,
    source: str | os.PathLike | None = None,
    augmented: bool = False,
) -> SegmentationDataset:
    """PASCAL VOC 2012: splits `train`, `val`, `trainval` and, if `augmented`, `train_aug`.

    Args:
        data_dir: where TensorFlow Datasets keeps what it prepared; its own default if not given.
        source: a folder with the unpacked archives, instead of a download.
        augmented: whether to prepare SBD's images too.
    """
    builder = PascalVoc2012(
        source=source,
        data_dir=folder_of(data_dir),
        config="augmented" if augmented else "voc",
    )
    return load_prepared(PUBLISHED, builder, contiguous_ids(len(CLASS_NAMES)))
