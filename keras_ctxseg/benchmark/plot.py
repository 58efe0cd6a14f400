"""Accuracy or arithmetic against latency, as a picture."""

from collections.abc import Mapping
from pathlib import Path


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
