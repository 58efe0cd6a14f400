"""Small stand-ins for published data sets, written in their true on-disk formats.

For tests, and for a dry run of a recipe whose data set is not here. Pictures and labels are random
blocks; names of files, folders and archives, ids and colours are the real ones.
"""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.data.dummy.folder import write_folder
    from keras_ctxseg.data.dummy.write import DUMMY_DATASETS, dummy_options, load_dummy, write_dummy

__getattr__, __dir__, __all__ = lazy_exports(__name__)
