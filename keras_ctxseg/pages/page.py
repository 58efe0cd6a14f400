"""HTML pages that stand alone: one style, no network, readable on a phone and in the dark."""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from typing import Any

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
