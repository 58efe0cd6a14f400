"""The card of a LiteRT or ONNX file: what it is, what it takes, how it compared, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_ctxseg.export.parity.report import ParityReport, parity_table
from keras_ctxseg.export.static_file import FileMetadata


def file_card(
    metadata: FileMetadata,
    report: ParityReport,
    path: Path,
    size: tuple[int, int],
    output: str,
    operations: Sequence[str],
) -> str:
    """The card of a file.

    Args:
        metadata: what is in it.
        report: its comparison with the Keras model.
        path: where it lies now.
        size: height and width of its input.
        output: `"logits"` or `"labels"`.
        operations: that it is made of.
    """
    images = "uint8" if metadata.form == "full_int8" else "float32"
    lines = [f"# {path.name}", ""]
    if metadata.forced:
        lines += [
            "**Written by force: the comparison with the Keras model FAILED (see below).**",
            "",
        ]
    lines += [
        f"{metadata.description} Made from `{metadata.model}`.",
        "",
        f"- Input `images`: {images} (1, {size[0]}, {size[1]}, 3), RGB in 0..255.",
        f"- Output `{output}`: "
        + (
            f"class ids (1, {size[0]}, {size[1]})."
            if output == "labels"
            else f"float32 (1, {size[0]}, {size[1]}, {len(metadata.class_names)})."
        ),
        *([f"- In float32: {', '.join(metadata.in_float)}."] if metadata.in_float else []),
        f"- Size: {path.stat().st_size / 2**20:.2f} MiB.",
        f"- Operations: {', '.join(operations)}.",
        f"- Classes: {', '.join(metadata.class_names)}; ignore label {metadata.ignore_label}.",
        "",
        "## Beside the Keras model",
        "",
        parity_table({metadata.form: report}),
        "",
        f"{str(report)[0].upper()}{str(report)[1:]}.",
        "",
    ]
    return "\n".join(lines)
