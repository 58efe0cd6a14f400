"""The classes of `context_scenes`, in the order of their ids, and their colours."""

import numpy as np

CLASSES = {
    "sky": (126, 190, 240),
    "land": (124, 179, 66),
    "water": (21, 101, 192),
    "road": (120, 110, 140),
    "boat": (255, 152, 0),
    "car": (216, 27, 96),
    "tram": (253, 216, 53),
    "train": (142, 36, 170),
    "open_track": (0, 191, 165),
    "closed_track": (183, 28, 28),
    "pole": (33, 33, 33),
    "landmark": (245, 245, 245),
}
CLASS_NAMES = tuple(CLASSES)
PALETTE = np.array(list(CLASSES.values()), np.uint8)

THINGS = ("boat", "car", "tram", "train")

# Classes that no patch of 33 pixels a side tells apart from their partner.
CONTEXT_PAIRS = (
    ("water", "road"),
    ("boat", "car"),
    ("tram", "train"),
    ("open_track", "closed_track"),
)
