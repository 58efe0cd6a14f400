"""The block tables that `SpineNet` is built from; see `keras_ctxseg._block_tables`."""

from keras_ctxseg._block_tables import (
    EXPANSION,
    FILTERS,
    HAND_DILATED_BLOCKS,
    NUM_STEM_NODES,
    PARENT_BLOCKS,
    SCALES,
    SEARCHED_BLOCKS,
    TABLES,
    BlockSpec,
    Scale,
    adopted_nodes,
    dilate,
    output_nodes,
    read_blocks,
    required_nodes,
)

__all__ = [
    "EXPANSION",
    "FILTERS",
    "HAND_DILATED_BLOCKS",
    "NUM_STEM_NODES",
    "PARENT_BLOCKS",
    "SCALES",
    "SEARCHED_BLOCKS",
    "TABLES",
    "BlockSpec",
    "Scale",
    "adopted_nodes",
    "dilate",
    "output_nodes",
    "read_blocks",
    "required_nodes",
]
