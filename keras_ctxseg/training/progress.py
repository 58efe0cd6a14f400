"""Counts a run's steps, also where a process begins inside an epoch."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.runs.checkpoint import TrainingState
from keras_ctxseg.runs.config import ConfigError
from keras_ctxseg.runs.plan import Plan
from keras_ctxseg.training.session import Session


class Progress(keras.callbacks.Callback):
    """Counts steps, and lets an epoch that was cut off go on where it was.

    Such an epoch takes only the steps that it lacks, and its metrics go on adding up. Steps are
    counted when the next one begins, and everything before it is done: Keras runs callbacks of a
    step's end beside the next step, and waits for none of them.

    Must be the first callback.
    """

    def __init__(self, session: Session):
        super().__init__()
        self.session = session
        self._stopped_here = False
        self._batches = 0  # Of the epoch, taken by this process.

    def on_epoch_begin(self, epoch, logs=None):
        session = self.session
        self._batches = 0
        if session.running_metrics:
            crop_size = session.config.augmentation.crop_size
            if not continue_metrics(self.model, session.running_metrics, crop_size):
                session.say("The metrics are other ones: the epoch's averages start afresh.")
            session.running_metrics = []
        session.begin_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        session = self.session
        session.count(batch)
        self._batches = batch + session.plan.steps_per_execution
        left = session.plan.steps_in(session.state.epoch) - session.state.step_in_epoch
        if left <= session.plan.steps_per_execution:
            # Keras would go on for `steps_per_epoch` steps.
            self.model.stop_training = self._stopped_here = True

    def on_epoch_end(self, epoch, logs=None):
        self.session.count(self._batches)  # Fewer than planned where a callback ends the epoch.
        if self._stopped_here:
            self.model.stop_training = self._stopped_here = False
        if logs is not None:
            logs["learning_rate"] = self.session.state.learning_rate


def continue_metrics(
    model: keras.Model, values: Sequence[np.ndarray], crop_size: Sequence[int]
) -> bool:
    """Restores the sums of a model's metrics; False, and nothing done, where they do not fit.

    Args:
        model: compiled, all its optimizer's variables there.
        values: in the order of the model's metrics.
        crop_size: height and width of the training images.
    """
    # Outside a strategy Keras makes the metrics' variables in the first step only.
    images = keras.KerasTensor((None, *crop_size, model.inputs[0].shape[-1]), "float32")
    model._symbolic_build(data_batch=(images, keras.KerasTensor((None, *crop_size), "int32")))
    variables = model.metrics_variables
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        return False

    def assign():
        # Replicas add up apart and are summed when read: one of them gets it all.
        context = tf.distribute.get_replica_context()
        is_first = context.replica_id_in_sync_group == 0
        for variable, value in zip(variables, values, strict=True):
            value = tf.convert_to_tensor(value)
            variable.assign(tf.where(is_first, value, tf.zeros_like(value)))

    model.distribute_strategy.run(tf.function(assign))
    return True


def check_place(plan: Plan, state: TrainingState) -> None:
    """Raises `ConfigError` if the configured plan has no place for the state to resume from."""
    if not state.step_in_epoch:
        return
    left = plan.steps_in(state.epoch) - state.step_in_epoch
    if left < 0 or (left == 0 and state.epoch_logs is None):
        raise ConfigError(
            f"the checkpoint was saved {state.step_in_epoch} steps into epoch {state.epoch + 1}, "
            f"which now has {plan.steps_in(state.epoch)} steps; `training.batch_size`, "
            f"`training.steps` and `training.steps_per_epoch` may change between epochs only"
        )
    if left % plan.steps_per_execution:
        raise ConfigError(
            f"`training.steps_per_execution`: expected a divisor of the {left} steps that are left "
            f"in the epoch of the checkpoint. Received: {plan.steps_per_execution}"
        )
