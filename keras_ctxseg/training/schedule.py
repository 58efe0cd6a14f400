"""Polynomial decay of the learning rate with a linear warm-up."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class PolyDecay(keras.optimizers.schedules.LearningRateSchedule):
    """`base * (1 - progress) ** power`, the schedule of the DeepLab and PSPNet recipes.

    The first `warmup_steps` steps rise linearly, `base * (step + 1) / warmup_steps`; the decay then
    runs over the steps that are left and reaches `end_learning_rate` at `total_steps`, where it
    stays.

    Args:
        learning_rate: the base rate, > 0.
        total_steps: optimizer steps in the run, warm-up included.
        power: exponent of the decay; 0.9 in the papers.
        warmup_steps: steps of linear warm-up, below `total_steps`.
        end_learning_rate: rate at `total_steps` and after.

    Raises:
        ValueError: if an argument lies outside its range.

    Examples:
        >>> schedule = PolyDecay(0.1, total_steps=100, power=1.0)
        >>> float(schedule(50))
        0.05

    Reference: Liu et al., "ParseNet" (2015); Chen et al., "DeepLab" (2016), section 4.1.
    """

    def __init__(
        self,
        learning_rate: float,
        total_steps: int,
        power: float = 0.9,
        warmup_steps: int = 0,
        end_learning_rate: float = 0.0,
        name: str = "poly_decay",
    ):
        super().__init__()
        if learning_rate <= 0:
            raise ValueError(f"`learning_rate` must be above 0. Received: {learning_rate}")
        if total_steps < 1:
            raise ValueError(f"`total_steps` must be at least 1. Received: {total_steps}")
        if power <= 0:
            raise ValueError(f"`power` must be above 0. Received: {power}")
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                f"`warmup_steps` must lie in 0...{total_steps - 1} (below `total_steps`). "
                f"Received: {warmup_steps}"
            )
        self.learning_rate = learning_rate
        self.total_steps = total_steps
        self.power = power
        self.warmup_steps = warmup_steps
        self.end_learning_rate = end_learning_rate
        self.name = name

    def __call__(self, step):
        """The rate, a float32 scalar, of 0-based optimizer step `step`."""
        step = ops.cast(step, "float32")
        decay_steps = self.total_steps - self.warmup_steps
        left = ops.clip((self.total_steps - step) / decay_steps, 0.0, 1.0)
        span = self.learning_rate - self.end_learning_rate
        decayed = self.end_learning_rate + span * ops.power(left, self.power)
        if self.warmup_steps == 0:
            return decayed
        warming = self.learning_rate * (step + 1.0) / self.warmup_steps
        return ops.where(step < self.warmup_steps, warming, decayed)

    def get_config(self) -> dict:
        return {
            "learning_rate": self.learning_rate,
            "total_steps": self.total_steps,
            "power": self.power,
            "warmup_steps": self.warmup_steps,
            "end_learning_rate": self.end_learning_rate,
            "name": self.name,
        }
