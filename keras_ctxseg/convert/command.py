"""What `ctxseg convert` does: fetch, build, map, write."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg._naming import nearest
from keras_ctxseg.convert.location import fetch, parse_location
from keras_ctxseg.convert.mapping import map_weights
from keras_ctxseg.convert.read import read_checkpoint
from keras_ctxseg.convert.report import ConversionError, Report
from keras_ctxseg.convert.sources import SOURCES
from keras_ctxseg.convert.tables import Source
from keras_ctxseg.models import build


def convert_file(
    source_name: str,
    place: str,
    model_name: str,
    options: Mapping[str, Any],
    num_classes: int | None = None,
    output: str | None = None,
    epsilon: float | None = None,
    backbone_only: bool = False,
) -> tuple[str, Path, Report]:
    """Converts a checkpoint to a `.weights.h5` file.

    Args:
        source_name: A key of `SOURCES`.
        place: Path, or URL with a checksum.
        model_name, options: As `build` takes them.
        num_classes: Of the model; `None` for the checkpoint's.
        output: File to write; by default `<model_name>.weights.h5`.
        epsilon, backbone_only: See `convert`.

    Returns:
        How the model is built, the file written, and what was mapped.

    Raises:
        ConversionError: If something does not fit; then nothing is written.
        ValueError: If there is no such model, or no such option.
    """
    if source_name not in SOURCES:
        raise ConversionError(
            f"`--from`: expected one of {', '.join(SOURCES)}. Received: {source_name!r}."
            + nearest(source_name, SOURCES)
        )
    target = Path(output or f"{model_name}.weights.h5")
    if not target.name.endswith(".weights.h5"):
        raise ConversionError(f"`--output`: expected a name ending in .weights.h5. {str(target)!r}")
    source = SOURCES[source_name]
    location = parse_location(place, ())
    path = fetch(location) if location.is_url else Path(place)
    arrays = read_checkpoint(path)
    if num_classes is None:
        num_classes = 0 if backbone_only else _classes_in(arrays, source)
        if not num_classes:
            raise ConversionError(
                f"`--num-classes`: {path} has no classifier to count them by; give the model's"
            )
    model = build(model_name, num_classes, **options)
    report = map_weights(model, arrays, source, str(path), epsilon, backbone_only)
    _write(model, target)
    words = [f"{model_name!r}", str(num_classes), *(f"{key}={options[key]!r}" for key in options)]
    return f"build({', '.join(words)})", target, report


def _classes_in(arrays: Mapping[str, np.ndarray], source: Source) -> int:
    """The classes that a checkpoint's classifier tells apart, 0 without one."""
    renamed = source.rename(arrays)
    for table in source.tables:
        for row in () if callable(table.rows) else table.rows:
            name = source.dialect.name(row.layer, "bias")
            if row.ours == "logits_classifier" and name in renamed:
                kernel = renamed.get(source.dialect.name(row.layer, "kernel"))
                if kernel is not None and kernel.ndim == 4:
                    return renamed[name].size
    return 0


def _write(model, target: Path) -> None:
    """Writes beside the target and moves: an older file is whole until the new one is."""
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".convert-") as folder:
            part = Path(folder) / target.name
            model.save_weights(part)
            os.replace(part, target)
    except OSError as error:
        raise ConversionError(f"{target}: cannot be written ({error})") from error
