"""How long a run is."""

from __future__ import annotations

from dataclasses import dataclass

from keras_ctxseg.training.config import ConfigError, TrainingConfig


@dataclass(frozen=True)
class Plan:
    """Optimizer steps and epochs of a run; an epoch is what lies between two turns of saving."""

    steps_per_epoch: int
    total_steps: int
    epochs: int

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
        return cls(steps_per_epoch, total_steps, -(-total_steps // steps_per_epoch))

    def step_after(self, epoch: int) -> int:
        """Steps taken once the 0-based `epoch` is over."""
        return min((epoch + 1) * self.steps_per_epoch, self.total_steps)
