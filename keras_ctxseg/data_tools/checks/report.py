"""The result of a check, as text and as JSON."""

import dataclasses
import json
import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from keras_ctxseg.data.class_file import id_ranges
from keras_ctxseg.data.image_reading import PLAIN, ImageReading
from keras_ctxseg.data_tools.checks.findings import ERROR, KINDS, Finding, SplitFacts, class_weights

_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class DataReport:
    """What `check` found in a folder.

    Attributes:
        root: the folder.
        mask_format: as which masks were read.
        class_names: the declared classes; empty where the class file cannot be used.
        palette: uint8 `(classes, 3)`.
        splits: counts by split.
        findings: sorted by kind, then by file.
        advice: what to do, by kind of finding.
        declared: what raw ids (colours) the class file names, in words.
        reading: how images were read.
    """

    root: Path
    mask_format: str
    class_names: tuple[str, ...]
    palette: np.ndarray
    splits: dict[str, SplitFacts]
    findings: tuple[Finding, ...]
    advice: dict[str, str]
    declared: str
    reading: ImageReading = PLAIN

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that stop a training."""
        return tuple(finding for finding in self.findings if finding.severity == ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings to look at."""
        return tuple(finding for finding in self.findings if finding.severity != ERROR)

    @property
    def class_weights(self) -> list[float] | None:
        """Suggested weights of the classes in the training split, where it has labels."""
        train = self.splits.get("train")
        if train is None or not train.pixels.any():
            return None
        return class_weights(train)

    @property
    def found(self) -> str:
        """The raw ids (colours) of all masks, in words."""
        values = sorted(set().union(*(facts.raw for facts in self.splits.values())))
        if self.mask_format != "colors":
            return id_ranges(np.array(values, np.int64))
        colors = [f"#{value:06x}" for value in values]
        return ", ".join(colors[:24]) + (" ..." if len(colors) > 24 else "")

    @property
    def images(self) -> str:
        """Channels of the images, with mean and deviation in the training split, in words."""
        facts = self.splits.get("train") or next(iter(self.splits.values()), None)
        if facts is None or not facts.channels:
            return ""
        lines = [f"channels      {facts.channels}"]
        options = self.reading.as_dict()
        if options:
            lines.append(f"read with     {', '.join(f'{k}={v}' for k, v in options.items())}")
        lines.append(f"mean          {', '.join(f'{value:.1f}' for value in facts.mean)}")
        lines.append(f"deviation     {', '.join(f'{value:.1f}' for value in facts.std)}")
        if facts.channels != 3 and min(facts.std) > 0:
            mean, std = list(facts.mean), list(facts.std)
            lines.append(
                "For a recipe: model.options.normalization="
                + json.dumps({"mean": mean, "std": std}).replace('"', "")
            )
        return "\n".join(lines)

    def groups(self) -> Iterator[tuple[str, list[Finding]]]:
        """Findings of one kind together."""
        for code, findings in groupby(self.findings, lambda finding: finding.code):
            yield code, list(findings)

    def table(self) -> str:
        """All of it for a terminal."""
        blocks = [self._splits_table()]
        if self.class_names and any(facts.checked for facts in self.splits.values()):
            blocks.append(self._classes_table())
        if images := self.images:
            blocks.append(images)
        blocks.append(f"ids found     {self.found}\nids declared  {self.declared}")
        blocks.append(self.findings_table() or "Nothing to mend was found.")
        if not self.errors and self.class_weights:
            blocks.append(
                "Where rare classes matter, paste into the recipe (median frequency, square root):"
                f"\n{self.weights_yaml()}"
            )
        return "\n\n".join(blocks)

    def findings_table(self, shown: int = _SHOWN) -> str:
        """The findings alone, the first few of each kind; empty where there are none."""
        lines = []
        for code, findings in self.groups():
            kind = KINDS[code]
            lines.append(f"{kind.severity.upper():7}  {kind.title} ({len(findings)})")
            lines += [f"  {finding.path}: {finding.message}" for finding in findings[:shown]]
            if len(findings) > shown:
                lines.append(f"  ... and {len(findings) - shown} more")
            if self.advice.get(code):
                lines.append(f"  -> {self.advice[code]}")
        return "\n".join(lines)

    def weights_yaml(self) -> str:
        """The suggested weights, as a recipe holds them."""
        weights = ", ".join(f"{weight:g}" for weight in self.class_weights or [])
        return f"training:\n  class_weights: [{weights}]"

    def to_json(self, path: str | os.PathLike) -> Path:
        """Write everything to a file; see `as_dict`."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        return path

    def as_dict(self) -> dict[str, Any]:
        """Plain values: `path`, `splits`, `classes`, `class_weights`, `findings`, `advice`."""
        return {
            "path": str(self.root),
            "mask_format": self.mask_format,
            "images": self.reading.as_dict(),
            "classes": list(self.class_names),
            "splits": {
                split: {
                    "pairs": facts.pairs,
                    "checked": facts.checked,
                    "sizes": [[*size, count] for size, count in facts.sizes.items()],
                    "pixels": facts.pixels.tolist(),
                    "images": facts.images.tolist(),
                    "ignored": facts.ignored,
                    "channels": facts.channels,
                    "mean": list(facts.mean),
                    "std": list(facts.std),
                    "raw": {str(raw): count for raw, count in facts.raw.items()},
                }
                for split, facts in self.splits.items()
            },
            "class_weights": self.class_weights,
            "findings": [
                {
                    "severity": finding.severity,
                    "code": finding.code,
                    "path": str(finding.path),
                    "message": finding.message,
                }
                for finding in self.findings
            ],
            "advice": self.advice,
        }

    def _splits_table(self) -> str:
        lines = [f"{'split':12} {'pairs':>7} {'checked':>8} {'void':>7}  sizes (height x width)"]
        for split, facts in self.splits.items():
            sizes = [f"{height}x{width}" for height, width in list(facts.sizes)[:3]]
            more = f" and {len(facts.sizes) - 3} others" if len(facts.sizes) > 3 else ""
            lines.append(
                f"{split:12} {facts.pairs:7} {facts.checked:8} {_percent(facts.ignored_share):>7}  "
                f"{', '.join(sizes)}{more}"
            )
        return "\n".join(lines)

    def _classes_table(self) -> str:
        width = max(12, *(len(name) for name in self.class_names))
        weights = self.class_weights
        header = "".join(f" {split + ' %':>9} {'images':>7}" for split in self.splits)
        lines = [f"{'id':>3} {'class':{width}}{header}{'  weight' if weights else ''}"]
        for index, name in enumerate(self.class_names):
            line = f"{index:3} {name:{width}}"
            for facts in self.splits.values():
                share = facts.pixels[index] / max(1, facts.pixels.sum())
                line += f" {100 * share:9.2f} {facts.images[index]:7}"
            lines.append(line + (f"  {weights[index]:6.3g}" if weights else ""))
        return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
