"""Opens an HTML file in a real browser without a window, and says what it saw."""

from __future__ import annotations

import base64
import functools
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
WRAPPER = """<!DOCTYPE html><meta charset="utf-8"><body>
<iframe src="{page}" style="width:{width}px;height:900px;border:0"></iframe>
<script>
document.querySelector("iframe").onload = (event) => {{
  const page = event.target.contentDocument, root = page.documentElement;
  const wide = [...page.querySelectorAll("body *")].filter((one) => {{
    const box = one.getBoundingClientRect();
    return box.right > root.clientWidth + 1 && !one.closest(".scroll");
  }});
  const seen = {{
    client: root.clientWidth, scroll: root.scrollWidth, title: page.title,
    text: page.body.innerText,
    images: [...page.images].map((one) => one.complete ? one.naturalWidth : 0),
    drawings: [...page.querySelectorAll("svg")].map((one) => one.getBoundingClientRect().width),
    background: page.defaultView.getComputedStyle(page.body).backgroundColor,
    wide: wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 200)),
  }};
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = "BEGIN" + btoa(unescape(encodeURIComponent(
    JSON.stringify(seen)))) + "END";
}};
</script></body>"""


@dataclass(frozen=True)
class Seen:
    """What a page looked like.

    Attributes:
        width: of the view, in CSS pixels.
        content_width: that the page wants; more than `width` means scrolling sideways.
        title: of the page.
        text: that is visible.
        image_widths: natural width of each picture; 0 where it did not load.
        drawing_widths: of each inline SVG, as laid out.
        background: colour of the page.
        beyond: elements that reach past the right edge, outside boxes that scroll by themselves.
        console: what the page wrote to the console: errors, warnings, refused loads.
    """

    width: int
    content_width: int
    title: str
    text: str
    image_widths: list[int]
    drawing_widths: list[float]
    background: str
    beyond: list[str]
    console: list[str]


def look_at(path: Path, folder: Path, width: int = 1280, dark: bool = False) -> Seen:
    """Opens `path` in a view of `width` CSS pixels; `folder` is for the browser's own files.

    Skips the test, saying why, where there is no browser that starts.
    """
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    wrapper = folder / f"view_{width}_{dark}.html"
    wrapper.write_text(WRAPPER.format(page=path.resolve().as_uri(), width=width), encoding="utf-8")
    done = _open(wrapper, folder, ["--blink-settings=preferredColorScheme=0"] if dark else [])
    assert "BEGIN" in done.stdout, f"{path} was not shown: {done.stderr[-1000:]}"
    text = done.stdout.split("BEGIN")[1].split("END")[0]
    seen = json.loads(base64.b64decode(text))
    return Seen(
        width=seen["client"],
        content_width=seen["scroll"],
        title=seen["title"],
        text=seen["text"],
        image_widths=seen["images"],
        drawing_widths=seen["drawings"],
        background=seen["background"],
        beyond=seen["wide"],
        console=[line for line in done.stderr.splitlines() if ":CONSOLE" in line],
    )


@functools.cache
def _why_not() -> str:
    """Why no page can be opened here; empty where one can."""
    if _program() is None:
        return "no Chromium here: apt-get install chromium (.ci/run does, as root on Debian)"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text("<p>open</p>")
        try:
            done = _open(page, Path(folder), [])
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{_program()} does not start here: {error}"
    return "" if "open" in done.stdout else f"{_program()} shows no page here: {done.stderr[-300:]}"


def _program() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


def _open(page: Path, folder: Path, options: list[str]) -> subprocess.CompletedProcess[str]:
    words = [
        str(_program()),
        "--headless=new",
        "--no-sandbox",  # which root needs
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1400,1000",
        "--virtual-time-budget=20000",
        *options,
        "--dump-dom",
        page.resolve().as_uri(),
    ]
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=120, env=environment, check=False
    )
