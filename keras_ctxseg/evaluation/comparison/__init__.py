"""Comparing evaluations of the same images: differences with intervals, and where they differ."""

from keras_ctxseg.evaluation.comparison.comparison import (
    Comparison,
    Estimate,
    Group,
    Pair,
    compare,
)
from keras_ctxseg.evaluation.comparison.scored_run import ScoredRun
from keras_ctxseg.evaluation.comparison.table import comparison_table

__all__ = [
    "Comparison",
    "Estimate",
    "Group",
    "Pair",
    "ScoredRun",
    "compare",
    "comparison_table",
]
