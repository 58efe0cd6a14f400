"""Where a run is, also inside an epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_ctxseg.runs.checkpoint import TrainingState
from keras_ctxseg.runs.config import ConfigError
from keras_ctxseg.runs.plan import Plan


class Progress(keras.callbacks.Callback):
    """Counts steps, and lets an epoch that was cut off go on where it was.

    Such an epoch takes only the steps that it lacks, and its metrics go on adding up. The counting
    is done at the beginning of a step, when everything before it is done: callbacks at its end run
    beside the next step, and Keras waits for none of them.

    Stands before all callbacks that ask it.

    Args:
        plan: how long the run is.
        state: where it begins.
        running_metrics: what the metrics had added up there.
        crop_size: height and width of the training images.
        say: is told where the metrics have to start afresh.

    Raises:
        ConfigError: if the configured plan has no place for `state`.
    """

    def __init__(
        self,
        plan: Plan,
        state: TrainingState,
        running_metrics: Sequence[np.ndarray] = (),
        crop_size: Sequence[int] = (),
        say: Callable[[str], None] = print,
    ):
        super().__init__()
        _check_place(plan, state)
        self.plan = plan
        self.epoch = state.epoch
        self.step = state.step
        self.step_in_epoch = state.step_in_epoch
        self.learning_rate = state.learning_rate
        self._running_metrics = list(running_metrics)
        self._crop_size = crop_size
        self._say = say
        self._taken_before = state.step_in_epoch
        self._stopped_here = False
        self._batches = 0  # Of the epoch, taken by this process.

    @property
    def first_step(self) -> int:
        """Number of the step that this process's part of the epoch began with."""
        return self.step - self.step_in_epoch + self._taken_before

    def state(
        self, best_mean_iou: float | None, epoch_logs: dict[str, float] | None = None
    ) -> TrainingState:
        """The state of the run between two steps."""
        return TrainingState(
            self.epoch,
            self.step,
            best_mean_iou,
            self.step_in_epoch,
            self.learning_rate if self.step_in_epoch else None,
            epoch_logs,
        )

    def on_epoch_begin(self, epoch, logs=None):
        self._batches = 0
        if self._running_metrics:
            if not continue_metrics(self.model, self._running_metrics, self._crop_size):
                self._say("The metrics are other ones: the epoch's averages start afresh.")
            self._running_metrics = []
        if self.learning_rate is None:
            self.learning_rate = float(
                keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
            )

    def on_train_batch_begin(self, batch, logs=None):
        self._count(batch)
        self._batches = batch + self.plan.steps_per_execution
        if self._taken_before + batch + self.plan.steps_per_execution >= self._length():
            # Keras would go on for `steps_per_epoch` steps.
            self.model.stop_training = self._stopped_here = True

    def on_epoch_end(self, epoch, logs=None):
        self._count(self._batches)  # Fewer than planned where a callback ends the epoch.
        if self._stopped_here:
            self.model.stop_training = self._stopped_here = False
        if logs is not None:
            logs["learning_rate"] = self.learning_rate

    def finish_epoch(self) -> None:
        """Turns to the next epoch; the last callback at an epoch's end calls it."""
        self.epoch += 1
        self.step_in_epoch = self._taken_before = 0
        self.learning_rate = None

    def _length(self) -> int:
        return self.plan.steps_in(self.epoch)

    def _count(self, batches: int) -> None:
        taken = self._taken_before + batches
        self.step += taken - self.step_in_epoch
        self.step_in_epoch = taken


def metric_values(model: keras.Model) -> list[np.ndarray]:
    """What the model's metrics have added up; under several workers all have to ask."""
    return [keras.ops.convert_to_numpy(variable) for variable in model.metrics_variables]


def continue_metrics(
    model: keras.Model, values: Sequence[np.ndarray], crop_size: Sequence[int]
) -> bool:
    """Puts `metric_values` back; False, and nothing done, where the metrics are other ones.

    Args:
        model: compiled, all its optimizer's variables there.
        values: in the order of the model's metrics.
        crop_size: height and width of the training images.
    """
    # Outside a strategy Keras makes the metrics' variables in the first step only.
    images = keras.KerasTensor((None, *crop_size, 3), "float32")
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


def _check_place(plan: Plan, state: TrainingState) -> None:
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
