"""Comparing evaluations of the same images: differences with intervals, and where they differ."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.evaluation.comparison.paired import compare
    from keras_ctxseg.evaluation.comparison.report import (
        DisputedImage,
        disputed_images,
        write_comparison,
    )
    from keras_ctxseg.evaluation.comparison.result import Comparison, Estimate, Group, Pair
    from keras_ctxseg.evaluation.comparison.scored_run import ScoredRun
    from keras_ctxseg.evaluation.comparison.table import comparison_table

__getattr__, __dir__, __all__ = lazy_exports(__name__)
