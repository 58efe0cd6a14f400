"""Tools for a user's own data: preparation, checks, contact sheets."""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.data_tools.checks.run import check

__getattr__, __dir__, __all__ = lazy_exports(__name__)
