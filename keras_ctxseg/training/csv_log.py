"""One CSV row per epoch, in a file that survives being resumed."""

import csv
import time
from pathlib import Path

import keras


class CsvLog(keras.callbacks.Callback):
    """Writes the epoch's logs as a row; an epoch that is run again replaces its old row.

    A run may be killed after a row was written and before its checkpoint was. On resume the rows of
    epochs that are about to be repeated are dropped, so every epoch stands in the file once.

    Args:
        path: the file.
        first_epoch: 0-based epoch that this process starts with; earlier rows are kept.
    """

    def __init__(self, path: str | Path, first_epoch: int = 0):
        super().__init__()
        self.path = Path(path)
        self.rows = self._earlier_rows(first_epoch)
        self._began = time.perf_counter()

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": str(epoch), "seconds": f"{time.perf_counter() - self._began:.2f}"}
        row.update((name, f"{float(value):.8g}") for name, value in (logs or {}).items())
        self.rows.append(row)
        self._write()

    def _earlier_rows(self, first_epoch: int) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if int(row["epoch"]) < first_epoch]

    def _write(self) -> None:
        # Columns may join late: validation does not run in every epoch.
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(self.rows)
            partial.replace(self.path)
        except OSError as error:  # A failed write does not say by itself which file it was.
            raise OSError(error.errno, error.strerror, str(self.path)) from error
