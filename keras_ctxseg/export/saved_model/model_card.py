"""What whoever finds an exported version should know about it, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_ctxseg._version import __version__
from keras_ctxseg.export.parity.report import ParityReport, parity_table

MODEL_CARD = Path("assets.extra") / "model_card.md"

_SIGNATURES = """\
| signature | takes | gives |
|---|---|---|
| `serving_default` | `images`: JPEG or PNG files, string (batch,) | `labels`, `scores`, `sizes`, \
`errors`, `class_names` |
| `float_images` | `images`: float32 (batch, height, width, 3), RGB in 0..255 | `logits`, `labels` |
| `logits` | the same | `logits` |
| `labels` | the same | `labels`, `scores`, in the memory of a few rows' logits |
"""


def model_card(
    model: str,
    class_names: Sequence[str],
    report: ParityReport,
    *,
    version: str,
    bytes_stored: int,
    parameters: int,
    precision: str,
    image_scale: float,
    ignore_label: int,
    facts: Mapping[str, str] | None = None,
) -> str:
    """The card of a SavedModel.

    Args:
        model: name of the Keras model.
        class_names: in the order of the logits.
        report: the export's comparison with the Keras model.
        version: of the export.
        bytes_stored: size of the graph with its weights.
        parameters: of the Keras model.
        precision: what the graph computes in.
        image_scale, ignore_label: see `ServingModule`.
        facts: what else is known, by name: data set, scores, licence, command.
    """
    lines = [
        f"# {model}, version {version}",
        "",
        f"Semantic segmentation, exported by keras_ctxseg {__version__}.",
        "",
        f"- Parameters: {parameters:,}; stored: {bytes_stored / 2**20:.1f} MiB, weights frozen,"
        f" {precision}.",
        f"- Images are scaled by {image_scale:g} before the network sees them; answers are at the"
        " images' own size.",
        f"- {len(class_names)} classes: {', '.join(class_names)}."
        f" Label {ignore_label} is no class.",
        *(f"- {name}: {fact}" for name, fact in (facts or {}).items()),
        "- Licence of the code: Apache-2.0. That of the weights follows from the data they were"
        " trained on.",
        "",
        "## Signatures",
        "",
        _SIGNATURES,
        "## Beside the Keras model",
        "",
        parity_table({"SavedModel": report}),
        "",
        f"{str(report)[0].upper()}{str(report)[1:]}.",
        "",
    ]
    return "\n".join(lines)
