"""A page whose tables and plots come from measurements: no figure in it is typed by hand."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

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


def plot(found: Mapping, path: str | Path) -> Path:
    """Draws the subjects of `results`: fastest call against mIoU, or against multiply-adds.

    mIoU is drawn where every subject's is known. The dashed line is what the arithmetic would take
    at the matrix product's rate.

    Args:
        found: of `results.results`.
        path: the picture, `.png` or `.svg`.

    Raises:
        ValueError: another kind of picture.
    """
    path = Path(path)
    if path.suffix not in (".png", ".svg"):
        raise ValueError(f"plot: expected a file that ends in .png or .svg. Received: {path}")
    from matplotlib.figure import Figure

    subjects = [one for one in found["subjects"] if one["multiply_adds"] is not None]
    by_iou = all(one["mean_iou"] is not None for one in subjects)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    milliseconds = [1e3 * one["minimum"] for one in subjects]
    heights = [one["mean_iou"] if by_iou else one["multiply_adds"] / 1e9 for one in subjects]
    for form in dict.fromkeys(one["form"] for one in subjects):
        chosen = [index for index, one in enumerate(subjects) if one["form"] == form]
        axes.scatter(
            [milliseconds[index] for index in chosen],
            [heights[index] for index in chosen],
            label=form,
        )
    for one, x, y in zip(subjects, milliseconds, heights, strict=True):
        label = one["name"] or one["source"]
        axes.annotate(label, (x, y), xytext=(5, 4), textcoords="offset points", fontsize=8)
    if not by_iou:
        end = max(heights)
        rate = found["matrix_product_gflops"] / 2
        axes.plot([0, 1e3 * end / rate], [0, end], "--", color="grey", label="matrix product")
    axes.set_xlim(left=0)
    axes.set_xlabel("fastest call, ms")
    axes.set_ylabel("mIoU" if by_iou else "multiply-adds as specified, 10⁹")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path
