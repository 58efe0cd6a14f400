"""Checks of a user's own data: `ctx.data.check`, behind `ctxseg check-data`."""

from keras_ctxseg.data.checks.findings import ERROR, KINDS, WARNING, Finding
from keras_ctxseg.data.checks.report import DataReport
from keras_ctxseg.data.checks.run import check
from keras_ctxseg.data.checks.sheet import write_sheet
from keras_ctxseg.data.checks.split_facts import SplitFacts, class_weights

__all__ = [
    "ERROR",
    "KINDS",
    "WARNING",
    "DataReport",
    "Finding",
    "SplitFacts",
    "check",
    "class_weights",
    "write_sheet",
]
