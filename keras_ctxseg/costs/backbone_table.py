"""What each backbone costs and puts out, as a table for the guide."""

from collections.abc import Iterable, Iterator

from keras_ctxseg.backbones import create
from keras_ctxseg.backbones.backbone import OUTPUT_STRIDES
from keras_ctxseg.costs.multiply_adds import count_multiply_adds, trainable_parameters

LEVELS = (1, 2, 3, 4, 5)


def backbone_table(names: Iterable[str], side: int = 512) -> Iterator[str]:
    """Writes a Markdown table of backbones.

    Args:
        names: Backbones by name, with their default options.
        side: Height and width of the images that multiply-adds are counted for.

    Yields:
        The head, the rule, then a line for each backbone as soon as it is counted: trainable
        parameters, multiply-adds at output stride 32, 16 and 8, and the channels of the features
        at levels 1 to 5.
    """
    strides = sorted(OUTPUT_STRIDES, reverse=True)
    heads = [
        "backbone",
        "parameters",
        *(f"GMAC, stride {stride}" for stride in strides),
        *(f"1/{2**level}" for level in LEVELS),
    ]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for name in names:
        yield f"| {' | '.join(_row(name, strides, side))} |"


def _row(name: str, strides: list[int], side: int) -> list[str]:
    counts = []
    for stride in strides:
        backbone = create(name, output_stride=stride)
        model = backbone.as_model((side, side, 3))
        counts.append(f"{count_multiply_adds(model, (side, side)).total / 1e9:.2f}")
    channels = {info.level: str(info.channels) for info in backbone.features}
    parameters = f"{trainable_parameters(model) / 1e6:.2f} M"
    return [f"`{name}`", parameters, *counts, *(channels.get(level, "") for level in LEVELS)]
