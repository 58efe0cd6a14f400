"""How long a run is."""

from __future__ import annotations

from dataclasses import dataclass

from keras_ctxseg.runs.config import ConfigError, TrainingConfig


@dataclass(frozen=True)
class Plan:
    """Optimizer steps and epochs of a run; an epoch is what lies between two turns of saving."""

    steps_per_epoch: int
    total_steps: int
    epochs: int
    steps_per_execution: int = 1

    @classmethod
    def of(cls, training: TrainingConfig, steps_in_a_pass: int) -> Plan:
        """The configured plan, where one pass over the training split takes `steps_in_a_pass`."""
        steps_per_epoch = training.steps_per_epoch or steps_in_a_pass
        total_steps = training.steps or training.epochs * steps_per_epoch
        for name, steps in (("steps_per_epoch", steps_per_epoch), ("steps", total_steps)):
            if steps % training.steps_per_execution:
                raise ConfigError(
                    f"`training.steps_per_execution`: expected a divisor of the {steps} {name}. "
                    f"Received: {training.steps_per_execution}"
                )
        epochs = -(-total_steps // steps_per_epoch)
        return cls(steps_per_epoch, total_steps, epochs, training.steps_per_execution)

    def steps_in(self, epoch: int) -> int:
        """Steps of the 0-based `epoch`; the last may have fewer."""
        return min(self.steps_per_epoch, self.total_steps - epoch * self.steps_per_epoch)

    def step_after(self, epoch: int) -> int:
        """Steps taken once the 0-based `epoch` is over."""
        return min((epoch + 1) * self.steps_per_epoch, self.total_steps)
