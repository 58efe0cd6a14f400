"""The guide: its menu has every page, its links lead somewhere, what it documents exists."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)]*)?\)")


def test_every_page_is_in_the_menu():
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [page for part in parts for page in pages(part)]

    menu = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(menu) == [str(page.relative_to(ROOT / "docs")) for page in PAGES]


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert not [target for target in targets if not (page.parent / target).exists()]


def test_the_architecture_names_what_exists():
    """Its table has every room, and each `file.py`: `name` of its walks is there."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    places = re.findall(r"`([\w/]+\.py)`:\s+`([\w.]+)`", text)
    assert len(places) > 25
    for file, name in places:
        found = importlib.import_module(f"keras_ctxseg.{file[:-3].replace('/', '.')}")
        for part in name.split("."):
            found = getattr(found, part)


def test_the_reference_names_what_exists():
    names = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
    assert len(names) > 20
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute).__doc__, name
