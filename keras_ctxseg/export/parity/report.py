"""What a comparison of an exported file with its Keras model found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_ctxseg.export.errors import ExportError

MAX_SOFTMAX_DIFFERENCE = 1e-3
MIN_LABEL_AGREEMENT = 0.9999
# Keras' logits of two classes nearer than this: a tie, which the order of float32 sums decides.
TIE = 1e-4


@dataclass(frozen=True)
class ParityReport:
    """How far an export is from its Keras model, over all pixels of the images compared.

    `label_agreement` is the share of pixels, 0 to 1, that have the same largest class; `ties` that
    of pixels that have not, but whose two classes Keras' own logits tell apart by less than `TIE`,
    a ten-thousandth of their probability: hardly any of a trained network, some of one whose
    weights are random. The softmax differences are None for a file that puts out labels only; the
    mean IoUs, of the export and of the Keras model, where no label maps were given.
    """

    path: str
    images: int
    pixels: int
    max_softmax_difference: float | None
    mean_softmax_difference: float | None
    label_agreement: float
    max_softmax_limit: float = MAX_SOFTMAX_DIFFERENCE
    label_agreement_limit: float = MIN_LABEL_AGREEMENT
    mean_softmax_limit: float = math.inf
    mean_iou: float | None = None
    keras_mean_iou: float | None = None
    mean_iou_loss_limit: float = math.inf
    ties: float = 0.0

    @property
    def passed(self) -> bool:
        """All limits hold, that of the labels with ties; NaN anywhere fails."""
        return (
            _at_most(self.max_softmax_difference, self.max_softmax_limit)
            and _at_most(self.mean_softmax_difference, self.mean_softmax_limit)
            and self.label_agreement + self.ties >= self.label_agreement_limit
            and _at_most(self.mean_iou_loss, self.mean_iou_loss_limit)
        )

    @property
    def mean_iou_loss(self) -> float | None:
        """Keras' mean IoU less the export's."""
        if self.mean_iou is None or self.keras_mean_iou is None:
            return None
        return self.keras_mean_iou - self.mean_iou

    def __str__(self) -> str:
        words = [f"labels agree on {100 * self.label_agreement:.4f} %"]
        if self.ties:
            words[0] += f" and tie on {100 * self.ties:.4f} %"
        words[0] += f" (limit {100 * self.label_agreement_limit:g} %)"
        if self.max_softmax_difference is not None:
            limits = (_limit(self.max_softmax_limit), _limit(self.mean_softmax_limit))
            words.insert(
                0,
                f"softmax differs by {self.max_softmax_difference:.2e} at most{limits[0]},"
                f" {self.mean_softmax_difference:.2e} on average{limits[1]}",
            )
        if self.mean_iou is not None and self.keras_mean_iou is not None:
            words.append(
                f"mean IoU {100 * self.mean_iou:.2f} %, Keras' {100 * self.keras_mean_iou:.2f} %"
                f"{_limit(self.mean_iou_loss_limit, ' below')}"
            )
        return (
            f"{'agrees' if self.passed else 'DISAGREES'} with the Keras model on {self.images}"
            f" images ({self.pixels} pixels): {'; '.join(words)}"
        )


def require_parity(report: ParityReport) -> ParityReport:
    """Returns `report` if it passed, raises ExportError if it did not."""
    if not report.passed:
        raise ExportError(f"export refused: {report}")
    return report


def parity_table(reports: dict[str, ParityReport]) -> str:
    """Figures by name as a Markdown table, a row each."""
    lines = [
        "| form | images | mean softmax error | largest | same labels | mIoU | Keras' mIoU | |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name, report in reports.items():
        lines.append(
            f"| {name} | {report.images} | {_number(report.mean_softmax_difference, '.1e')} |"
            f" {_number(report.max_softmax_difference, '.1e')} |"
            f" {100 * report.label_agreement:.4f} % | {_number(report.mean_iou, '.4f')} |"
            f" {_number(report.keras_mean_iou, '.4f')} |"
            f" {'passed' if report.passed else 'FAILED'} |"
        )
    return "\n".join(lines)


def _at_most(value: float | None, limit: float) -> bool:
    return value is None or value <= limit


def _limit(limit: float, word: str = "") -> str:
    return "" if math.isinf(limit) else f" (limit {limit:.0e}{word})"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
