"""A page whose tables come from measurements, so that no figure in it is typed by hand."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from keras_ctxseg.benchmark.plot import plot
from keras_ctxseg.benchmark.results import caption, table

_BLOCK = re.compile(
    r"(<!-- begin (?P<name>[\w-]+) -->\n).*?(<!-- end (?P=name) -->)", flags=re.DOTALL
)


def rebuild(page: str | Path) -> list[str]:
    """Fills each block `<!-- begin NAME -->` to `<!-- end NAME -->` of a Markdown page.

    The measurements are `NAME.json` in the folder that is named as the page is, beside it; the
    picture of them is put there too.

    Returns:
        The names of the blocks.

    Raises:
        ValueError: a block without its file, or no block at all.
    """
    page = Path(page)
    text = page.read_text(encoding="utf-8")
    folder = page.with_suffix("")
    names = [match["name"] for match in _BLOCK.finditer(text)]
    if not names:
        raise ValueError(
            f"{page}: expected blocks from `<!-- begin NAME -->` to `<!-- end NAME -->`"
        )
    filled = _BLOCK.sub(lambda match: match[1] + _block(folder, match["name"]) + match[3], text)
    page.write_text(filled, encoding="utf-8")
    return names


def _block(folder: Path, name: str) -> str:
    file = folder / f"{name}.json"
    if not file.is_file():
        raise ValueError(f"{file}: there are no such measurements; make them with --json {file}")
    found: Mapping = json.loads(file.read_text(encoding="utf-8"))
    lines = [
        f"```bash\n{found['command']}\n```",
        f"{found['date']}; {caption(found)}.",
        table(found, markdown=True),
    ]
    if any(subject["multiply_adds"] is not None for subject in found["subjects"]):
        picture = plot(found, folder / f"{name}.svg")
        lines.append(f"![{name}]({folder.name}/{picture.name})")
    return "\n\n".join(lines) + "\n"
