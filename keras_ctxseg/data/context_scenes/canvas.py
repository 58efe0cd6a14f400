"""A picture, its label map and its instance map, drawn upon together."""

import numpy as np

from keras_ctxseg.data.context_scenes.classes import CLASS_NAMES
from keras_ctxseg.data.palettes import IGNORE_LABEL


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
