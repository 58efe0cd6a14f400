"""What a network costs before it is run: multiply-adds, memory, a trial of a recipe."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.costs.memory import PeakMemory, measure_peak_memory
    from keras_ctxseg.costs.multiply_adds import MultiplyAdds, count_multiply_adds
    from keras_ctxseg.costs.recipe_trial import DryRun, dry_run
    from keras_ctxseg.costs.training_memory import TrainingMemory, estimate_training_memory

__getattr__, __dir__, __all__ = lazy_exports(__name__)
