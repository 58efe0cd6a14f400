"""`python workers_script.py WORDS...`: `ctxseg WORDS...` with a tiny network and data set.

The network has no dropout, whose masks each replica draws for itself. With KILL_AT=n in the
environment, the second worker ends as if by SIGKILL before step n; then no validation comes first.
"""

import os
import signal
import sys

import keras

import keras_ctxseg as ctx
from keras_ctxseg.cli import main
from keras_ctxseg.layers import ConvNormAct
from keras_ctxseg.runs import assembly
from keras_ctxseg.training.cluster import find_cluster
from keras_ctxseg.training.progress import Progress
from tests.fixtures.tiny_parts import tiny_dataset


def tiny_network(name, num_classes, weights=None, **options):
    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalize")(images)
    x = ConvNormAct(4, 3, name="backbone_conv")(x)
    outputs = {"logits": keras.layers.Conv2D(num_classes, 1, dtype="float32", name="classify")(x)}
    return ctx.models.SegmentationModel(images, outputs, name="tiny")


if __name__ == "__main__":
    assembly.load = lambda name, **options: tiny_dataset(counts=(8, 5))
    assembly.build = tiny_network
    cluster, kill_at = find_cluster(os.environ), int(os.environ.get("KILL_AT", "-1"))
    if cluster is not None and cluster.index == 1 and kill_at >= 0:
        count_step = Progress.on_train_batch_begin

        def count_step_or_die(self, batch, logs=None):
            count_step(self, batch, logs)
            if self.session.state.step == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        Progress.on_train_batch_begin = count_step_or_die
    sys.exit(main(sys.argv[1:]))
