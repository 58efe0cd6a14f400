"""The process in which one trial of a search trains; see `TrainingObjective`.

Arguments: the recipe, and where the result goes. Ends when its standard input is closed, which
happens when the search dies, however it does.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path


def main(recipe: str, result: str) -> None:
    """Trains, and writes the result as JSON."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from keras_ctxseg.runs.config_file import load_config
    from keras_ctxseg.training.run import train

    run = train(load_config(recipe), overwrite=True)
    values = {"parameters": run.parameters, "seconds": run.seconds, "epochs": run.epochs}
    partial = Path(result + ".partial")
    partial.write_text(json.dumps(values) + "\n", encoding="utf-8")
    partial.replace(result)


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
