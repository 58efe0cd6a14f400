"""TFDS's own test case, for each builder, on files in the true on-disk format."""

import tempfile

import pytest
from tensorflow_datasets import testing

from keras_ctxseg.data.builders.ade20k import Ade20k
from keras_ctxseg.data.builders.camvid import CamVid
from keras_ctxseg.data.builders.coco_panoptic import CocoPanoptic
from keras_ctxseg.data.builders.coco_stuff import CocoStuff
from keras_ctxseg.data.builders.pascal_context import PascalContext
from keras_ctxseg.data.builders.pascal_voc import PascalVoc2012
from tests.fixtures.dummy_datasets.write import write_dummy

pytestmark = pytest.mark.filterwarnings("ignore")


class BuilderTestCase(testing.DatasetBuilderTestCase):
    """Writes the stand-in that is named like the builder and gives it as the download."""

    __test__ = False
    COUNT = 2
    # Of most archives no checksum is published; `checksums.tsv` has the others.
    SKIP_CHECKSUMS = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._files = tempfile.TemporaryDirectory()
        cls.EXAMPLE_DIR = cls._files.name
        write_dummy(cls.DATASET_CLASS.name, cls.EXAMPLE_DIR, cls.COUNT)

    @classmethod
    def tearDownClass(cls):
        cls._files.cleanup()
        super().tearDownClass()


class TestAde20k(BuilderTestCase):
    __test__ = True
    DATASET_CLASS = Ade20k
    SPLITS = {"train": 2, "validation": 2}  # noqa: RUF012 - as the base class has it


class TestCamVid(BuilderTestCase):
    __test__ = True
    DATASET_CLASS = CamVid
    COUNT = 4
    SPLITS = {"train": 4, "validation": 4, "test": 4}  # noqa: RUF012


class TestCocoPanoptic(BuilderTestCase):
    __test__ = True
    DATASET_CLASS = CocoPanoptic
    SPLITS = {"train": 2, "validation": 2}  # noqa: RUF012
    SKIP_CHECKSUMS = False


class TestCocoStuff(BuilderTestCase):
    __test__ = True
    DATASET_CLASS = CocoStuff
    SPLITS = {"train": 2, "validation": 2}  # noqa: RUF012


class TestPascalContext(BuilderTestCase):
    __test__ = True
    DATASET_CLASS = PascalContext
    SPLITS = {"train": 2, "validation": 2}  # noqa: RUF012


class TestPascalVoc(BuilderTestCase):
    __test__ = True
    DATASET_CLASS = PascalVoc2012
    BUILDER_CONFIG_NAMES_TO_TEST = ["voc"]  # noqa: RUF012
    SPLITS = {"train": 2, "validation": 2}  # noqa: RUF012
    SKIP_CHECKSUMS = False


class TestPascalVocAugmented(BuilderTestCase):
    __test__ = True
    DATASET_CLASS = PascalVoc2012
    BUILDER_CONFIG_NAMES_TO_TEST = ["augmented"]  # noqa: RUF012
    SPLITS = {"train": 2, "validation": 2, "sbd": 2}  # noqa: RUF012
