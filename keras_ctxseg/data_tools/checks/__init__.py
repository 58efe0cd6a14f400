"""Checks of a user's own data: `ctx.data_tools.check`, behind `ctxseg check-data`."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.data_tools.checks.findings import (
        ERROR,
        KINDS,
        WARNING,
        Finding,
        SplitFacts,
        class_weights,
    )
    from keras_ctxseg.data_tools.checks.report import DataReport
    from keras_ctxseg.data_tools.checks.run import check
    from keras_ctxseg.data_tools.checks.sheet import write_sheet

__getattr__, __dir__, __all__ = lazy_exports(__name__)
