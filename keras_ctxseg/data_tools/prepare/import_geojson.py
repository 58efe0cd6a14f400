"""Polygons in GeoJSON over GeoTIFFs."""

import dataclasses
import functools
import itertools
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.images import FileError
from keras_ctxseg.data_tools.prepare.annotation_schema import (
    Problems,
    read_json,
)
from keras_ctxseg.data_tools.prepare.import_base import (
    AnnotatedImage,
    ImportOptions,
    Listing,
    Recognised,
    Shape,
    painted,
    points_of,
    reporting,
    sniffed,
    split_in,
)
from keras_ctxseg.data_tools.prepare.pairing import flat_name

_LABEL_PROPERTIES = ("class", "label", "class_name", "classification", "category", "name", "type")


def read_geojson(listing: Listing, options: ImportOptions, problems: Problems) -> Recognised | None:
    """Polygons in GeoJSON over GeoTIFFs: a pixel belongs to a polygon that holds its centre.

    A file of an image's own name holds its polygons; files of other names hold those of all images.
    Coordinates are those that the file's `crs` says, else longitude and latitude where they fit,
    else the image's own.
    """
    files = listing.like("*.geojson")
    if not files:
        files = sniffed(
            listing,
            lambda content: (
                isinstance(content, dict) and content.get("type") == "FeatureCollection"
            ),
        )
    rasters = [file for file in listing.pictures if file.lower().endswith((".tif", ".tiff"))]
    rasters = rasters or [file for file in listing.pictures if files]
    if not files or not rasters:
        return None
    try:
        import rasterio  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"{listing.path(files[0])}: polygons over GeoTIFFs need rasterio. Install "
            "keras_ctxseg[formats]"
        ) from error
    contents = {file: read_json(listing.path(file)) for file in files}
    stems = {Path(file).stem: file for file in files}
    images: dict[str, list[AnnotatedImage]] = {}
    unnamed: set[str] = set()
    for raster in rasters:
        grid = None
        with reporting(problems, listing.path(raster), "image"):
            grid = _grid(listing.path(raster))
        if grid is None:
            continue
        own = stems.get(Path(raster).stem)
        chosen = (
            [own]
            if own
            else [f for s, f in stems.items() if not any(Path(r).stem == s for r in rasters)]
        )
        shapes = []
        for file in chosen:
            path = listing.path(file)
            for number, feature in enumerate(contents[file].get("features") or []):
                where = f"features[{number}]"
                with reporting(problems, path, where):
                    if feature["geometry"] is None:
                        continue
                    properties = feature.get("properties") or {}
                    label = _geo_label(properties, options.label)
                    if label == "object":
                        unnamed |= {key for key, value in properties.items()
                                    if isinstance(value, str)}  # fmt: skip
                    crs = ((contents[file].get("crs") or {}).get("properties") or {}).get("name")
                    region = functools.partial(
                        _geo_region, feature["geometry"], crs, grid, path, where
                    )
                    shapes.append(Shape(label, where, region))
        if chosen:
            stem = flat_name(raster.rsplit(".", 1)[0])
            images.setdefault(split_in(raster), []).append(
                AnnotatedImage(
                    stem, listing.path(raster), listing.path(chosen[0]), shapes, grid.size
                )
            )
    pairs, table = painted(images, (), options, problems)
    notes = []
    if unnamed:
        text = f"no property {', '.join(_LABEL_PROPERTIES[:3])} ...: the class is 'object'; "
        notes.append(f"{text}--label says which of {', '.join(sorted(unnamed)[:8])} has the class")
    return Recognised("GeoJSON over images", ", ".join(files[:4]), pairs, table, tuple(notes))


@dataclasses.dataclass(frozen=True)
class _Grid:
    """Where an image's pixels are: its size, its affine transform and its coordinate system."""

    size: tuple[int, int]
    transform: Any
    crs: Any


def _grid(path: Path) -> _Grid:
    import rasterio

    try:
        with warnings.catch_warnings():  # an image without georeference has pixel coordinates
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path) as image:
                return _Grid((image.height, image.width), image.transform, image.crs)
    except rasterio.errors.RasterioError as error:
        raise FileError("unreadable", path, f"expected an image. Found: {error}") from error


def _geo_label(properties: Mapping[str, Any], chosen: str | None) -> str:
    lower = {key.lower(): value for key, value in properties.items()}
    keys = [chosen.lower()] if chosen else _LABEL_PROPERTIES
    for key in keys:
        value = lower.get(key)
        if isinstance(value, dict):  # QuPath: {"name": ..., "color": ...}
            value = value.get("name")
        if isinstance(value, (str, int)) and str(value):
            return str(value)
    if chosen:
        raise ValueError(f"no property {chosen!r}, but {', '.join(properties) or 'none'}")
    return "object"


def _geo_region(
    geometry: Mapping[str, Any],
    crs: str | None,
    grid: _Grid,
    source: Path,
    where: str,
    height: int,
    width: int,
) -> np.ndarray:
    import rasterio
    from rasterio.features import rasterize
    from rasterio.warp import transform_geom

    if geometry.get("type") not in ("Polygon", "MultiPolygon"):
        text = f"{where}: expected a Polygon or a MultiPolygon. Found: {geometry.get('type')!r}"
        raise FileError("unreadable", source, text)
    rings = geometry["coordinates"]
    if geometry["type"] == "MultiPolygon":
        rings = list(itertools.chain.from_iterable(rings))
    points = np.concatenate(
        [points_of([point[:2] for point in ring], source, where) for ring in rings]
    )
    if grid.crs is not None:
        degrees = np.abs(points).max(axis=0) <= (180, 90)
        origin = crs or ("OGC:CRS84" if degrees.all() else grid.crs)
        try:
            geometry = transform_geom(origin, grid.crs, json.loads(json.dumps(geometry)))
        except rasterio.errors.RasterioError as error:
            text = f"{where}: expected coordinates of {origin}. Found: {error}"
            raise FileError("unreadable", source, text) from error
    drawn = rasterize([(geometry, 1)], (height, width), transform=grid.transform, dtype="uint8")
    return drawn.astype(bool)
