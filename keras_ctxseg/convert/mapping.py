"""From a checkpoint's arrays to a model's weights, by a source's table."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import numpy as np

from keras_ctxseg.backbones.input_channels import spread_over_channels
from keras_ctxseg.convert.compatibility import (
    check_backbone,
    check_head,
    check_model,
    check_whole_model,
    notes_on,
)
from keras_ctxseg.convert.layer_weights import Brick, bricks_of, class_count_only, fold, shape_error
from keras_ctxseg.convert.report import ConversionError, Report
from keras_ctxseg.convert.tables import Row, Source, Table, backbone_of, fill, match

# The backbones' layers that see the image.
_FIRST_CONVOLUTIONS = ("backbone_stem_conv", "backbone_stem_conv1")


def map_weights(
    model: keras.Model,
    arrays: Mapping[str, np.ndarray],
    source: Source,
    origin: str = "the checkpoint",
    epsilon: float | None = None,
    backbone_only: bool = False,
) -> Report:
    """Sets a model's weights from a checkpoint's, or changes nothing and raises.

    All of the backbone must be there, and of a head all or nothing. What the checkpoint has nothing
    for keeps its initial values; so do classifiers of another number of classes.

    Args:
        model: A model of `keras_ctxseg.models.build`, or a backbone's.
        arrays: As `read_checkpoint` gives them.
        source: Whose they are.
        origin: What errors call the checkpoint.
        epsilon: Of its normalisations, if it is not the source's usual one.
        backbone_only: Whether a head in the checkpoint is left.

    Raises:
        ConversionError: If the checkpoint is of another architecture, a shape differs, or values
            are none that a network could have learned.
    """
    bricks = bricks_of(model)
    table = _table(source, bricks, model.name)
    check_model(model, table, source)
    arrays = source.rename(arrays)
    for mark, what in source.impostors:
        if any(mark in name for name in arrays):
            raise ConversionError(f"{origin} is {what}; its shapes would fit, its features not")
    rows = table.rows(bricks, arrays) if callable(table.rows) else table.rows
    if backbone_only:
        rows = [row for row in rows if row.ours.startswith("backbone_")]
    found, missing = _find(bricks, rows, arrays, source)
    taken = {name for _, _, names in found for name in names.values()}
    spare = {name: source.why_unused(name, table) for name in arrays if name not in taken}
    left = [name for name, why in spare.items() if not why and arrays[name].size]
    check_backbone(model.name, origin, source, table, rows, missing, left)
    check_head(model.name, origin, [brick for brick, _, _ in found], missing, left)
    if not all(brick.in_backbone for brick, _, _ in found):
        check_whole_model(model, source)

    values: dict[str, np.ndarray] = {}
    mapped: list[tuple[str, str]] = []
    reinitialized: list[tuple[str, str]] = []
    for brick, row, names in found:
        ours = _values(brick, row, {key: arrays[name] for key, name in names.items()}, source)
        why = class_count_only(brick, ours)
        if why:
            reinitialized.append((brick.path, why))
            continue
        variables = {**brick.layer, **brick.norm}
        if brick.path in _FIRST_CONVOLUTIONS:
            _carry_over_channels(ours, brick)
        for key, variable in variables.items():
            if tuple(variable.shape) != ours[key].shape:
                raise shape_error(origin, variable, names[key], ours[key].shape)
        _check_values(arrays, names.values(), origin)
        fold(ours, brick, table.epsilon if epsilon is None else epsilon)
        for key, variable in variables.items():
            values[variable.path] = ours[key]
            folded = f" - {names['bias']}" if key == "moving_mean" and "bias" in names else ""
            mapped.append((variable.path, names[key] + folded))
    if not mapped:
        raise ConversionError(f"{origin} holds nothing that {model.name!r} has a place for")
    for variable in model.weights:
        if variable.path in values:
            variable.assign(values[variable.path])
    return Report(
        source.name,
        tuple(mapped),
        tuple(left),
        tuple((name, why) for name, why in spare.items() if why and arrays[name].size),
        tuple(brick.path for brick in missing),
        tuple(reinitialized),
        notes_on(model, table, source),
    )


def _check_values(arrays: Mapping, names: Iterable[str], origin: str) -> None:
    """Refuses what no trained network has; HDF5 and old PyTorch files have no checksums."""
    for name in names:
        array = np.asarray(arrays[name])
        if not np.all(np.isfinite(array)):
            raise ConversionError(f"{origin}: {name} holds NaN or infinity; the file is damaged")
        if array.ndim > 1 and not np.any(array):
            raise ConversionError(f"{origin}: {name} holds zeros alone; the file is damaged")


def _carry_over_channels(values: dict[str, np.ndarray], brick: Brick) -> None:
    """Fits the first convolution to images of other channels than the checkpoint's RGB."""
    channels = brick.layer["kernel"].shape[2]
    if values["kernel"].shape[2] == 3 != channels:
        values["kernel"] = spread_over_channels(values["kernel"], channels)


def _table(source: Source, bricks: Mapping[str, Brick], name: str) -> Table:
    backbone = backbone_of(bricks)
    for table in source.tables:
        if table.backbone == backbone:
            return table
    known = ", ".join(table.backbone for table in source.tables)
    raise ConversionError(
        f"{source.name} has no network for {name!r}, which stands on "
        f"{backbone or 'no known backbone'}; it has {known}"
    )


def _find(
    bricks: Mapping[str, Brick], rows: Sequence[Row], arrays: Mapping, source: Source
) -> tuple[list[tuple[Brick, Row, dict[str, str]]], list[Brick]]:
    """Each brick's row and arrays, `(brick, row, {our weight: their name})`, and those without."""
    found, missing = [], []
    for brick in bricks.values():
        for row in rows:
            numbers = match(row.ours, brick.path)
            names = None if numbers is None else _names(brick, row, numbers, arrays, source)
            if names is not None:
                found.append((brick, row, names))
                break
        else:
            missing.append(brick)
    return found, missing


def _names(brick: Brick, row: Row, numbers, arrays: Mapping, source: Source):
    """`{our weight: their name}`, or `None` if one that ours needs is not in the checkpoint."""
    names = {}
    for pattern, weights in ((row.layer, brick.layer), (row.norm, brick.norm)):
        for weight in weights:
            if not pattern:
                return None
            name = source.dialect.name(fill(pattern, numbers), weight, brick.depthwise)
            if name not in arrays:
                return None
            names[weight] = name
    if brick.norm and brick.layer:
        # A bias of theirs that ours has no place for goes into the normalisation.
        bias = source.dialect.name(fill(row.layer, numbers), "bias", brick.depthwise)
        if bias in arrays:
            names["bias"] = bias
    return names


def _values(brick: Brick, row: Row, theirs: Mapping, source: Source) -> dict[str, np.ndarray]:
    """Their arrays by our weights' names, in our layout and order."""
    values = {}
    for key, array in theirs.items():
        if array.dtype.kind not in "fiub":
            raise ConversionError(f"{brick.path} {key}: expected numbers, found {array.dtype}")
        array = source.dialect.to_keras(array, key, brick.depthwise).astype("float32")
        values[key] = row.reorder(array) if key == "kernel" and row.reorder else array
    return values
