"""Random damage of image files: named errors only, and training reads what the check accepts.

`CTXSEG_DAMAGES=2000` tries as many files of each kind; by default there are a hundred.
"""

import io
import json
import os
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from keras_ctxseg.data.class_file import read_class_file
from keras_ctxseg.data.damage import jpeg_is_short, png_damage
from keras_ctxseg.data.decoding import decoded
from keras_ctxseg.data.folder import FileExamples
from keras_ctxseg.data.folder_checks import check_example
from keras_ctxseg.data.folder_layout import ExamplePaths
from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.images import FileError, read_image
from keras_ctxseg.data_tools.checks.example import examine

COUNT = int(os.environ.get("CTXSEG_DAMAGES", "100"))
SIZE = (40, 52)


def smooth(generator, channels=3):
    coarse = generator.integers(0, 256, (6, 8, channels), np.uint8)
    image = Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)


def encoded(array, file_format, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, file_format, **options)
    return buffer.getvalue()


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", **options)
    return buffer.getvalue()


def damaged(content, generator):
    """One of: some bits flipped, the end cut off, a piece replaced by noise, a piece left out."""
    damaged = bytearray(content)
    kind = generator.integers(4)
    place, length = int(generator.integers(len(content))), int(generator.integers(1, 40))
    if kind == 0:
        for _ in range(generator.integers(1, 4)):
            damaged[generator.integers(len(damaged))] ^= 1 << generator.integers(8)
    elif kind == 1:
        del damaged[place:]
    elif kind == 2:
        damaged[place : place + length] = generator.bytes(length)
    else:
        del damaged[place : place + length]
    return bytes(damaged)


def sources(kind, generator):
    if kind == "png":
        palette = Image.fromarray(smooth(generator)).convert("P")
        buffer = io.BytesIO()
        palette.save(buffer, "PNG")
        return [encoded(smooth(generator), "PNG"), buffer.getvalue()]
    if kind == "jpeg":
        image = smooth(generator)
        return [
            encoded(image, "JPEG", quality=80),
            encoded(image, "JPEG", quality=80, progressive=True),
            encoded(image, "JPEG", quality=80, restart_marker_blocks=4),
        ]
    bands = generator.integers(0, 4096, (*SIZE, 4)).astype(np.uint16)
    return [
        tiff(bands, planarconfig="contig"),
        tiff(bands[..., 0], compression="zlib"),
        tiff(np.moveaxis(bands, -1, 0), planarconfig="separate"),
        tiff(np.pad(bands[..., 0], 12), tile=(16, 16)),
    ]


@pytest.mark.parametrize("kind", ["png", "png mask", "jpeg", "tiff"])
@pytest.mark.filterwarnings("ignore")
def test_training_reads_whatever_the_check_accepts(tmp_path, kind, own_cache):
    generator = np.random.default_rng(len(kind))
    (tmp_path / "classes.json").write_text(json.dumps({"classes": ["a", "b", "c"]}))
    table = read_class_file(tmp_path / "classes.json")
    ids = generator.integers(0, 3, SIZE, np.uint8)
    whole_mask, whole_image = encoded(ids, "PNG"), encoded(smooth(generator), "PNG")
    masks = [whole_mask, encoded(ids.astype(np.uint16), "PNG")]
    reading = ImageReading(range=((0.0, 4095.0),)) if kind == "tiff" else ImageReading()
    accepted = []
    refused = 0
    for number in range(COUNT):
        image, mask = tmp_path / f"{number}.image", tmp_path / f"{number}.png"
        if kind == "png mask":
            image.write_bytes(whole_image)
            mask.write_bytes(damaged(masks[number % 2], generator))
        else:
            files = sources(kind, generator) if number < 4 else files  # noqa: F821
            image.write_bytes(damaged(files[number % len(files)], generator))
            mask.write_bytes(whole_mask)
        pair = ExamplePaths(str(number), image, mask)
        errors = examine("train", pair, table, "ids", reading).errors
        try:
            facts = check_example(pair, table, "ids", reading, decoded)
        except FileError as error:
            refused += 1
            assert str(tmp_path / str(number)) in str(error)
            assert errors, f"check-data accepts what training refuses: {error}"
            continue
        assert not errors, f"check-data refuses what training accepts: {errors}"
        accepted.append((pair, facts))
    assert refused > COUNT / 10
    for channels in {facts.channels for _, facts in accepted}:
        alike = [(pair, facts) for pair, facts in accepted if facts.channels == channels]
        reader = FileExamples(
            [pair for pair, _ in alike],
            [facts for _, facts in alike],
            table,
            "ids",
            ImageReading(range=reading.range, channels=channels),
        )
        for index in range(len(alike)):
            example = reader.read(index)
            assert example["image"].shape == (*alike[index][1][:2], channels)
            assert example["label"].shape == alike[index][1][:2]


class TestPng:
    def test_every_byte_counts(self):
        content = encoded(smooth(np.random.default_rng(0))[:4, :5], "PNG")
        assert png_damage(content) == ""
        for place in range(8, len(content)):
            altered = bytearray(content)
            altered[place] ^= 4
            assert png_damage(bytes(altered)), place
        for length in range(8, len(content)):
            assert png_damage(content[:length]), length

    def test_the_error_names_file_and_chunk(self, tmp_path):
        content = bytearray(encoded(smooth(np.random.default_rng(0)), "PNG"))
        content[60] ^= 1
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(FileError, match=r"a.png: .* its chunk 'IDAT' at byte 33 fails"):
            read_image(tmp_path / "a.png")


class TestJpegWithoutItsSecondHalf:
    @pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 4}])
    def test_is_found_behind_an_end_mark(self, tmp_path, options):
        array = smooth(np.random.default_rng(3))
        whole = encoded(array, "JPEG", quality=90, **options)
        (tmp_path / "whole.jpg").write_bytes(whole)
        read_image(tmp_path / "whole.jpg")
        (tmp_path / "half.jpg").write_bytes(whole[: len(whole) * 3 // 5] + b"\xff\xd9")
        with pytest.raises(FileError, match=r"half.jpg: .* an end mark before the last pixels"):
            read_image(tmp_path / "half.jpg")

    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_plain_lower_half_is_no_damage(self, progressive):
        array = smooth(np.random.default_rng(4)).copy()
        array[12:] = (10, 200, 30)
        whole = encoded(array, "JPEG", quality=90, progressive=progressive)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = np.asarray(Image.open(io.BytesIO(whole)))
        assert not jpeg_is_short(whole, image, progressive)
