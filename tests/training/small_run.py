"""`python small_run.py PROGRESS WORDS...`: `ctxseg WORDS...` with the tiny network and data set.

Writes each step's number into the file PROGRESS before the step is taken, and takes its time, so
that whoever watches can end the process in the middle of a training.
"""

import sys
import time
from pathlib import Path

from keras_ctxseg.cli import main
from keras_ctxseg.runs import assembly
from keras_ctxseg.training.progress import Progress
from tests.fixtures.tiny_parts import tiny_dataset, tiny_model

SECONDS_A_STEP = 0.02


def load(name, **options):
    """In place of `keras_ctxseg.data.load`."""
    return tiny_dataset(counts=(22, 4))


def build(name, num_classes, weights=None, **options):
    """In place of `keras_ctxseg.models.build`."""
    return tiny_model(num_classes)


if __name__ == "__main__":
    progress = Path(sys.argv[1])
    count_step = Progress.on_train_batch_begin

    def count_step_and_tell(self, batch, logs=None):
        count_step(self, batch, logs)
        progress.write_text(str(self.session.state.step))
        time.sleep(SECONDS_A_STEP)

    Progress.on_train_batch_begin = count_step_and_tell
    assembly.load, assembly.build = load, build
    sys.exit(main(sys.argv[2:]))
