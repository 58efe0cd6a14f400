"""What an export leaves behind."""

import os
from dataclasses import dataclass
from pathlib import Path

from keras_ctxseg.export.parity.report import ParityReport


@dataclass(frozen=True)
class ExportResult:
    """A published export; usable wherever a path is."""

    path: Path
    parity: ParityReport

    def __fspath__(self) -> str:
        return os.fspath(self.path)
