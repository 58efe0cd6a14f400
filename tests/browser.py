"""Opens an HTML file in a real browser without a window, and says what it saw."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
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


def find_browser() -> str:
    """The browser's program; skips the test, saying why, where there is none that starts."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium (.ci/run does, as root on Debian)")
    return found


def look_at(path: Path, folder: Path, width: int = 1280, dark: bool = False) -> Seen:
    """Opens `path` in a view of `width` CSS pixels; `folder` is for the browser's own files."""
    browser = find_browser()
    wrapper = folder / f"view_{width}_{dark}.html"
    wrapper.write_text(WRAPPER.format(page=path.resolve().as_uri(), width=width), encoding="utf-8")
    words = [
        browser,
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
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        "--dump-dom",
        wrapper.resolve().as_uri(),
    ]
    environment = {**os.environ, "HOME": str(folder)}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=120, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{browser} does not start here: {error}")
    if "BEGIN" not in done.stdout:
        pytest.skip(f"{browser} shows no page here: {done.stderr[-300:]}")
    import base64

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
