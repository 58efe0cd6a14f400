"""The classes of `context_scenes`, and a picture with its label and instance maps to draw on."""

import numpy as np

from keras_ctxseg.labels.panoptic import IGNORE_LABEL


class Canvas:
    """Shapes cover what was drawn before them, in all three maps alike.

    Args:
        height, width: size in pixels.
        generator: source of the noise; called in a fixed order.
    """

    def __init__(self, height: int, width: int, generator: np.random.Generator):
        self._pixels = np.zeros((height, width, 3))
        self._generator = generator
        self._instances = 0
        self.label = np.zeros((height, width), np.uint8)
        self.instances = np.zeros((height, width), np.uint8)

    @property
    def image(self) -> np.ndarray:
        """uint8 `(height, width, 3)` RGB."""
        return np.clip(np.round(self._pixels), 0, 255).astype(np.uint8)

    def new_instance(self) -> int:
        """The next free instance id; 0 is no instance."""
        self._instances += 1
        return self._instances

    def fill(self, mask, color, name: str, instance: int = 0, shade=0.0) -> None:
        """Give the pixels of a boolean map a class and a colour plus `shade`, one value a pixel."""
        mask = np.broadcast_to(mask, self.label.shape)
        shade = np.broadcast_to(np.asarray(shade, float), self.label.shape)
        self._pixels[mask] = np.asarray(color, float) + shade[mask][:, None]
        self.label[mask] = CLASS_NAMES.index(name)
        self.instances[mask] = instance

    def box(self, top, left, height, width, color, name: str, instance: int = 0) -> None:
        """A rectangle; what lies outside the picture is cut off."""
        mask = np.zeros(self.label.shape, bool)
        mask[max(top, 0) : top + height, max(left, 0) : left + width] = True
        self.fill(mask, color, name, instance)

    def blob(self, top, left, height, width, color, name: str) -> None:
        """A hull with a cabin on it, as a new instance in a border of ignored pixels."""
        rows = np.arange(self.label.shape[0])[:, None] - top
        columns = np.arange(self.label.shape[1])[None, :] - left
        center = (width - 1) / 2
        slant = np.abs(columns - center) <= width / 2 - 0.5 * rows
        hull = (rows >= 0) & (rows < height) & slant
        cabin = (rows >= -4) & (rows < 0) & (np.abs(columns - center) <= width * 0.22)
        shape = hull | cabin
        grown = shape.copy()
        grown[1:] |= shape[:-1]
        grown[:-1] |= shape[1:]
        grown[:, 1:] |= shape[:, :-1]
        grown[:, :-1] |= shape[:, 1:]
        instance = self.new_instance()
        self.label[grown & ~shape] = IGNORE_LABEL
        self.fill(hull, color, name, instance)
        self.fill(cabin, np.asarray(color) * 0.7, name, instance)

    def finish(self, noise: float) -> None:
        """Add Gaussian noise of this standard deviation, in grey levels."""
        self._pixels += self._generator.normal(0, noise, self._pixels.shape)


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
