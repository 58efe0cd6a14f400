"""GeoTIFFs: label maps lie where their image does, and mosaics are read window by window."""

import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.data.image_reading import ImageReading
from keras_ctxseg.data.palettes import default_palette
from keras_ctxseg.inference.predictor import Predictor
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.prediction import geotiff
from keras_ctxseg.prediction.images import predict

rasterio = pytest.importorskip("rasterio")

NAMES = ("sky", "road", "boat", "car")
PALETTE = default_palette(4)
READING = ImageReading.of({"range": [0, 4000], "bands": [3, 2, 1]})


def write(path, size, bands=4):
    values = np.random.default_rng(0).integers(0, 4096, (bands, *size)).astype(np.uint16)
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 4649776)
    with rasterio.open(
        path, "w", driver="GTiff", height=size[0], width=size[1], count=bands, dtype="uint16",
        crs="EPSG:32633", transform=transform, tiled=True, blockxsize=16, blockysize=16,
    ) as file:  # fmt: skip
        file.write(values)
    return np.moveaxis(values, 0, -1)


def assert_lies_like(path, image):
    with rasterio.open(path) as found, rasterio.open(image) as expected:
        assert found.crs == expected.crs
        assert found.transform == expected.transform
        assert found.colormap(1)[1] == (*PALETTE[1], 255)
        return found.read(1)


def test_a_label_map_has_the_georeference_of_its_image(model, tmp_path):
    values = write(tmp_path / "scene.tif", (40, 52))
    result = predict(
        model, tmp_path / "scene.tif", tmp_path / "out", PALETTE, NAMES, reading=READING
    )
    expected = Predictor(model).label(READING.pixels(values))
    found = assert_lies_like(tmp_path / "out/labels/scene.tif", tmp_path / "scene.tif")
    np.testing.assert_array_equal(found, expected)
    with Image.open(result.images[0].labels) as png:
        np.testing.assert_array_equal(np.asarray(png), expected)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_mosaic_is_labelled_as_its_whole_image(model, tmp_path, monkeypatch, scale):
    monkeypatch.setattr(geotiff, "MOSAIC_PIXELS", 5000)
    monkeypatch.setattr(geotiff, "PREVIEW", 60)
    values = write(tmp_path / "mosaic.tif", (130, 171))
    protocol = Protocol(window=(48, 64))
    reads = []
    read = geotiff.Mosaic._read

    def noted(self, **options):
        reads.append(options)
        return read(self, **options)

    monkeypatch.setattr(geotiff.Mosaic, "_read", noted)
    result = predict(
        model, tmp_path, tmp_path / "out", PALETTE, NAMES, image_scale=scale, protocol=protocol,
        reading=READING,
    )  # fmt: skip
    assert result.failures == ()
    (found,) = result.images
    assert found.labels == tmp_path / "out/labels/mosaic.tif"
    assert (found.height, found.width) == (130, 171)
    scaled = geotiff.mosaic_protocol(protocol, scale)
    expected = Predictor(model, scaled).label(READING.pixels(values))
    labels = assert_lies_like(found.labels, tmp_path / "mosaic.tif")
    np.testing.assert_array_equal(labels, expected)
    shares = {NAMES[k]: (expected == k).mean() for k in np.unique(expected)}
    assert found.shares == pytest.approx(shares)
    with Image.open(found.overlay) as overlay:
        assert overlay.size == (60, 46)
    windows = [options["window"] for options in reads if "window" in options]
    assert max((b - a) * (d - c) for (a, b), (c, d) in windows) <= 50 * 66 / scale**2
    assert list((tmp_path / "out/labels").iterdir()) == [found.labels]


def test_a_cut_off_mosaic_is_a_failure_that_leaves_nothing(model, tmp_path, monkeypatch):
    monkeypatch.setattr(geotiff, "MOSAIC_PIXELS", 5000)
    write(tmp_path / "mosaic.tif", (130, 171))
    content = (tmp_path / "mosaic.tif").read_bytes()
    (tmp_path / "mosaic.tif").write_bytes(content[: len(content) // 2])
    result = predict(
        model, tmp_path, tmp_path / "out", PALETTE, NAMES, protocol=Protocol(window=(48, 64)),
        reading=READING,
    )  # fmt: skip
    ((_, message),) = result.failures
    assert "mosaic.tif: expected" in message
    assert list((tmp_path / "out/labels").iterdir()) == []
