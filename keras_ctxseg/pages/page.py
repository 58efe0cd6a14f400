"""HTML pages that stand alone: one style, pictures inside, readable on a phone and in the dark."""

from __future__ import annotations

import base64
import importlib.resources
import io
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
from PIL import Image

STYLE = "page.css.j2"


def render_page(template: Traversable, **values: Any) -> str:
    """Fill a Jinja template.

    Args:
        template: the file; it puts `{{ page_style }}` into its `<style>`, and may use the filter
            `percent`, which writes 0.5 as 50.0 and None as a dash.
        **values: what the template names; a name without a value is an error.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    style = importlib.resources.files(__package__).joinpath(STYLE).read_text(encoding="utf-8")
    source = template.read_text(encoding="utf-8")
    return environment.from_string(source).render(page_style=Markup(style), **values)


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None or value != value else f"{100.0 * value:.{digits}f}"


def jpeg_uri(image: Image.Image) -> str:
    """A photograph."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return _uri(buffer, "jpeg")


def png_uri(colors: np.ndarray) -> str:
    """A drawing of few colours, uint8 `(height, width, 3)`, without loss."""
    buffer = io.BytesIO()
    # Label maps have few colours: a palette makes the file several times smaller.
    Image.fromarray(colors).quantize(256, dither=Image.Dither.NONE).save(
        buffer, "PNG", optimize=True
    )
    return _uri(buffer, "png")


def shrink_ids(ids: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map at another size, `(width, height)`, by nearest neighbour."""
    picture = Image.fromarray(ids.astype(np.int32))
    return np.asarray(picture.resize(size, Image.Resampling.NEAREST))


def fitting_size(height: int, width: int, longest: int) -> tuple[int, int]:
    """`(width, height)` whose longer side is `longest` at most; never larger than given."""
    factor = min(1.0, longest / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _uri(buffer: io.BytesIO, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
