"""Random images and label maps, and the files that hold them."""

from pathlib import Path

import numpy as np
from PIL import Image

_BLOCK = 8


class Pictures:
    """Draws pictures of flat blocks, which compress well.

    Args:
        size: height and width.
        seed: decides what is drawn.
    """

    def __init__(self, size: tuple[int, int], seed: int = 0):
        self.size = size
        self.random = np.random.default_rng(seed)

    def blocks(self, values) -> np.ndarray:
        """A map whose blocks hold entries of `values`: `(height, width, ...)`."""
        values = np.asarray(values)
        height, width = self.size
        block = max(_BLOCK, max(self.size) // 32)
        shape = (-(-height // block), -(-width // block))
        chosen = self.random.integers(0, len(values), shape)
        chosen = chosen.repeat(block, axis=0).repeat(block, axis=1)
        return values[chosen[:height, :width]]

    def image(self, path: Path) -> None:
        """Write a JPEG or PNG image in RGB."""
        self.write(path, self.blocks(self.random.integers(0, 256, (64, 3), np.uint8)))

    def ids(self, path: Path, values, palette: np.ndarray | None = None) -> None:
        """Write a PNG of grey values, or of indices of a palette, out of `values`."""
        self.write(path, self.blocks(values), palette)

    def colors(self, path: Path, values) -> None:
        """Write a PNG whose pixels are entries of `values`, RGB colours."""
        self.write(path, self.blocks(values))

    def write(self, path: Path, pixels: np.ndarray, palette: np.ndarray | None = None) -> None:
        """Write pixels of 0 ... 255, `(height, width)` or `(height, width, 3)`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels.astype(np.uint8))
        if palette is not None:
            image.putpalette(palette.tobytes())
        image.save(path)
