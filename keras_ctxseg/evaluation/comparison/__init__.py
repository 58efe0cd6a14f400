"""Comparing evaluations of the same images: differences with intervals, and where they differ."""

from keras_ctxseg.evaluation.comparison.paired import compare
from keras_ctxseg.evaluation.comparison.pictures import DisputedImage, disputed_images
from keras_ctxseg.evaluation.comparison.report import write_comparison
from keras_ctxseg.evaluation.comparison.result import Comparison, Estimate, Group, Pair
from keras_ctxseg.evaluation.comparison.scored_run import ScoredRun
from keras_ctxseg.evaluation.comparison.table import comparison_table

__all__ = [
    "Comparison",
    "DisputedImage",
    "Estimate",
    "Group",
    "Pair",
    "ScoredRun",
    "compare",
    "comparison_table",
    "disputed_images",
    "write_comparison",
]
