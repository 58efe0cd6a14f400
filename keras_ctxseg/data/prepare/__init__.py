"""From what people have to a folder data set; behind `ctxseg prepare-data`.

Each function writes a new folder, all of it or nothing, that `ctx.data.load("folder", path=...)`
reads, and never changes what is there.
"""

from keras_ctxseg.data.prepare.coco import prepare_coco
from keras_ctxseg.data.prepare.color_masks import prepare_masks
from keras_ctxseg.data.prepare.color_table import color_lines, find_colors, read_color_table
from keras_ctxseg.data.prepare.labelme import prepare_labelme
from keras_ctxseg.data.prepare.refolder import clean_folder, split_folder
from keras_ctxseg.data.prepare.splitting import Splitting
from keras_ctxseg.data.prepare.tiles import tile_folder
from keras_ctxseg.data.prepare.writing import PreparedFolder

__all__ = [
    "PreparedFolder",
    "Splitting",
    "clean_folder",
    "color_lines",
    "find_colors",
    "prepare_coco",
    "prepare_labelme",
    "prepare_masks",
    "read_color_table",
    "split_folder",
    "tile_folder",
]
