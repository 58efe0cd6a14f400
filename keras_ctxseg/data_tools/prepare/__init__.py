"""From what people have to a folder data set; behind `ctxseg prepare-data`.

Each function writes a new folder, all of it or nothing, that `ctx.data.load("folder", path=...)`
reads, and never changes what is there.
"""

from typing import TYPE_CHECKING

from keras_ctxseg._lazy import lazy_exports

if TYPE_CHECKING:
    from keras_ctxseg.data_tools.prepare.coco import prepare_coco
    from keras_ctxseg.data_tools.prepare.color_masks import prepare_masks
    from keras_ctxseg.data_tools.prepare.color_table import (
        color_lines,
        find_colors,
        read_color_table,
    )
    from keras_ctxseg.data_tools.prepare.import_base import ImportOptions, Recognised
    from keras_ctxseg.data_tools.prepare.importing import import_folder, recognise
    from keras_ctxseg.data_tools.prepare.labelme import prepare_labelme
    from keras_ctxseg.data_tools.prepare.refolder import clean_folder, split_folder
    from keras_ctxseg.data_tools.prepare.splitting import Splitting
    from keras_ctxseg.data_tools.prepare.tiles import tile_folder
    from keras_ctxseg.data_tools.prepare.writing import PreparedFolder, note_reading

__getattr__, __dir__, __all__ = lazy_exports(__name__)
