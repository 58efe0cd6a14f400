"""What a source says about a network: which layer is which of ours, and how weights are laid out.

Names may be patterns with numbers in them: `layer{s-1}.{b-1}.conv{n}`.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Dialect:
    """A framework's words for what Keras calls `kernel`, `bias`, `gamma`, ...

    Attributes:
        words: Keras' name of a weight to theirs.
        separator: Between a layer's name and its weight's.
        channels_first: Whether kernels are (out, in, height, width) and matrices (out, in).
        depthwise_kernel: The word for a depthwise kernel, where it is another one.
    """

    words: Mapping[str, str]
    separator: str
    channels_first: bool = False
    depthwise_kernel: str = ""

    def name(self, layer: str, weight: str, depthwise: bool = False) -> str:
        """The name in the checkpoint of a layer's weight, given Keras' name of it."""
        word = self.words.get(weight, weight)
        if depthwise and weight == "kernel" and self.depthwise_kernel:
            word = self.depthwise_kernel
        return f"{layer}{self.separator}{word}"

    def to_keras(self, array: np.ndarray, weight: str, depthwise: bool = False) -> np.ndarray:
        """Lays a checkpoint's array out as Keras does.

        Kernels become (height, width, in, out), depthwise ones (height, width, channels, 1), and
        matrices (in, out).
        """
        if self.channels_first and weight == "kernel":
            if array.ndim == 4:
                array = np.transpose(array, (2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
            elif array.ndim == 2:
                array = array.T
        return array


TORCH = Dialect(
    words={
        "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
        "moving_mean": "running_mean", "moving_variance": "running_var",
    },
    separator=".",
    channels_first=True,
)  # fmt: skip
KERAS = Dialect(words={}, separator="/")
# TF1's slim; a normalisation's name ends in BatchNorm.
SLIM = Dialect(
    words={"kernel": "weights", "bias": "biases"},
    separator="/",
    depthwise_kernel="depthwise_weights",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table; names are patterns (see `naming_patterns`).

    Attributes:
        ours: Path in our model: of a conv-norm-act, or of a single layer.
        layer: Their convolution or matrix; `""` where ours is a normalisation alone.
        norm: Their normalisation; `""` where there is none.
        reorder: What brings their kernel, laid out as Keras does, into our order of channels.
    """

    ours: str
    layer: str = ""
    norm: str = ""
    reorder: Callable[[np.ndarray], np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Table:
    """One network of a source.

    Attributes:
        backbone: Which of our backbones it is, such as `"resnet"`; see `backbone_of`.
        rows: The lines, or a function `(our paths, their names)` to them. Of several lines for one
            path, that one counts whose layers are in the checkpoint.
        epsilon: Of their normalisations.
        normalization: What their images are brought to, as our backbones' option says it.
        padding: Of their strided convolutions, as our backbones' option says it.
        stride_in_1x1: Whether their bottlenecks stride in the first 1×1 convolution.
        unused: As `Source.unused`, for this network alone.
        may_be_larger: Whether theirs may have more than ours, as a SpineNet with more outputs.
    """

    backbone: str
    rows: Sequence[Row] | Callable[[Collection[str], Mapping], Sequence[Row]]
    epsilon: float
    normalization: str = "imagenet"
    padding: str = "symmetric"
    stride_in_1x1: bool = False
    unused: Sequence[tuple[str, str]] = ()
    may_be_larger: bool = False


@dataclasses.dataclass(frozen=True)
class Source:
    """A project whose checkpoints can be converted.

    Attributes:
        name: As `--from` takes it.
        dialect: How its framework names and lays out weights.
        tables: Its networks.
        renames: Patterns and what replaces them, applied to the checkpoint's names, in order.
        unused: Patterns of what our models have no place for, and why.
        impostors: Patterns of what only an architecture with the same shapes but other mathematics
            has, and what that is; they are refused.
    """

    name: str
    dialect: Dialect
    tables: Sequence[Table]
    renames: Sequence[tuple[str, str]] = ()
    unused: Sequence[tuple[str, str]] = ()
    impostors: Sequence[tuple[str, str]] = ()

    def rename(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The checkpoint's arrays under the names that the tables speak of."""
        renamed = {}
        for name, array in arrays.items():
            for pattern, replacement in self.renames:
                name = re.sub(pattern, replacement, name)
            renamed[name] = array
        return renamed

    def why_unused(self, name: str, table: Table) -> str:
        """Why an array has no place in our models, or `""` where that is not known."""
        known = (*self.unused, *table.unused)
        return next((why for pattern, why in known if re.search(pattern, name)), "")


_MARKS = {
    "resnet": "backbone_stage2_block1_conv1",
    "mobilenet_v2": "backbone_stage2_block1_depthwise",
    "xception65": "backbone_stage2_entry_conv1_depthwise",
    "spinenet": "backbone_node0_block1_conv1",
}


def backbone_of(paths: Collection[str]) -> str:
    """Tells by its layers' paths which kind of backbone a model stands on; `""` for none."""
    return next((name for name, mark in _MARKS.items() if mark in paths), "")


_FIELD = re.compile(r"\{(\w)([+-]\d+)?\}")


def match(pattern: str, name: str) -> dict[str, int] | None:
    """Returns the numbers that make `pattern` into `name`, or `None`.

    Args:
        pattern: Text with fields `{x}`, one letter each, that stand for whole numbers.
        name: Text.

    Examples:
        >>> match("backbone_stage{s}_block{b}_conv{n}", "backbone_stage2_block1_conv3")
        {'s': 2, 'b': 1, 'n': 3}
    """
    found = re.fullmatch(_expression(pattern, r"(?P<{}>\d+)"), name)
    return None if found is None else {key: int(value) for key, value in found.groupdict().items()}


def fill(pattern: str, numbers: Mapping[str, int]) -> str:
    """Returns `pattern` with its fields `{x}`, `{x+1}`, `{x-1}` replaced by numbers.

    Examples:
        >>> fill("layer{s-1}.{b-1}.conv{n}", {"s": 2, "b": 1, "n": 3})
        'layer1.0.conv3'
    """
    return _FIELD.sub(lambda field: str(numbers[field[1]] + int(field[2] or 0)), pattern)


def could_be(pattern: str, name: str) -> bool:
    """Tells whether some numbers make `pattern` into `name`."""
    return re.fullmatch(_expression(pattern, r"\d+"), name) is not None


def _expression(pattern: str, number: str) -> str:
    parts, end = [], 0
    for field in _FIELD.finditer(pattern):
        parts += [re.escape(pattern[end : field.start()]), number.replace("{}", field[1])]
        end = field.end()
    return "".join([*parts, re.escape(pattern[end:])])
