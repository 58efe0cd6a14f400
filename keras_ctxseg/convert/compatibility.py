"""Whether a checkpoint fits a model: the options it must be built with, and the layers it has."""

import re
from collections.abc import Sequence

import keras

from keras_ctxseg.backbones import PARENT_BLOCKS
from keras_ctxseg.backbones.block_tables import NUM_STEM_NODES
from keras_ctxseg.backbones.input_channels import carried_over
from keras_ctxseg.convert.layer_weights import Brick
from keras_ctxseg.convert.report import ConversionError
from keras_ctxseg.convert.tables import Row, Source, Table, could_be
from keras_ctxseg.layers.normalize_images import NORMALIZATIONS, normalization_in

# A normalisation that the model was given as numbers, or that other channels than RGB have.
OWN_NUMBERS = "numbers"


def check_model(model: keras.Model, table: Table, source: Source) -> None:
    """Refuses a model that differs from the source's network in what no weight shows.

    Raises:
        ConversionError: Naming the option of `build` that makes them agree.
    """
    ours = _normalization(model)
    if ours not in (None, OWN_NUMBERS, table.normalization):
        raise ConversionError(
            f"{source.name} normalises images otherwise than {model.name!r} does; build it with "
            f"normalization={table.normalization!r}. Found: {ours!r}"
        )
    if table.backbone == "resnet":
        first = _layer(model, "backbone_stage3_block1_conv1")
        bottleneck = _layer(model, "backbone_stage3_block1_conv3") is not None
        strides = first is not None and first.strides == 2
        if bottleneck and strides != table.stride_in_1x1:
            raise ConversionError(
                f"{source.name}'s bottlenecks stride elsewhere than those of {model.name!r}; build "
                f"it with stride_in_1x1={table.stride_in_1x1}"
            )

    if table.backbone == "spinenet" and not _has_parents_blocks(model):
        raise ConversionError(
            f"{source.name}'s SpineNet has the block table of its paper, {model.name!r} another; "
            "build it with blocks='parent'"
        )


def check_whole_model(model: keras.Model, source: Source) -> None:
    """Refuses a whole model whose backbone the source dilates otherwise.

    A backbone alone was trained undilated and is the same in both.

    Raises:
        ConversionError: For OpenMMLab's basic blocks, whose second convolution never dilates.
    """
    second = _layer(model, "backbone_stage5_block2_conv2")
    basic = second is not None and _layer(model, "backbone_stage5_block2_conv3") is None
    if source.name == "mmsegmentation" and basic and second.dilation != (1, 1):
        raise ConversionError(
            f"{source.name} dilates only the first convolution of a basic block, {model.name!r} "
            "both; take the backbone alone, or build it with output_stride=32 if theirs is"
        )


def notes_on(model: keras.Model, table: Table, source: Source) -> tuple[str, ...]:
    """What differs without an error."""
    notes = [carried_over(model.inputs[0].shape[-1]), _note_on_features(model, table, source)]
    if _normalization(model) == OWN_NUMBERS:
        notes.append(f"{source.name} trained on images normalised as {table.normalization!r}")
    return tuple(filter(None, notes))


def _note_on_features(model: keras.Model, table: Table, source: Source) -> str:
    dilated = any(
        getattr(layer, "dilation", (1, 1)) != (1, 1)
        for layer in model.layers
        if layer.name.startswith("backbone_node")
    )
    if table.backbone == "spinenet" and dilated:
        return (
            f"{source.name}'s SpineNet has no atrous blocks, {model.name!r} has: the weights fit, "
            "its features are its own (the same ones with blocks=parent)"
        )
    stem = _layer(model, "backbone_stem_conv1") or _layer(model, "backbone_stem_conv")
    if stem is None or table.backbone == "spinenet" or stem.padding == table.padding:
        return ""
    return (
        f"{source.name} pads strided convolutions {table.padding!r}, the model {stem.padding!r}: "
        "features differ slightly at sizes that are not 32·k + 1, unless it is built with "
        f"padding={table.padding!r}"
    )


def _has_parents_blocks(model: keras.Model) -> bool:
    """Whether each block of a SpineNet that is built has the parents that SpineNet's has."""
    parents = dict(enumerate((each.parents for each in PARENT_BLOCKS), start=NUM_STEM_NODES))
    for layer in model.layers:
        match = re.match(r"backbone_node(\d+)_from(\d+)_", layer.name)
        if match and int(match[2]) not in parents.get(int(match[1]), ()):
            return False
    return True


def _normalization(model: keras.Model) -> str | None:
    """How a model normalises images: a name, `OWN_NUMBERS`, or `None` where it does not."""
    layer = normalization_in(model)
    if layer is None:
        return None
    statistics = (layer.mean, layer.std)
    names = [name for name, known in NORMALIZATIONS.items() if known == statistics]
    return names[0] if names else OWN_NUMBERS


def _layer(model: keras.Model, name: str):
    return next((layer for layer in model.layers if layer.name == name), None)


# Outputs that training alone uses; a checkpoint may lack them.
_FOR_TRAINING = ("aux_", "presence_logits")


def check_backbone(
    name: str,
    origin: str,
    source: Source,
    table: Table,
    rows: Sequence[Row],
    missing: Sequence[Brick],
    left: Sequence[str],
) -> None:
    """Refuses a checkpoint whose backbone is smaller or larger than the model's.

    Args:
        name: Of the model.
        origin: What errors call the checkpoint.
        rows: The table's lines.
        missing: Ours that the checkpoint has nothing for.
        left: Theirs that the model has nothing for.

    Raises:
        ConversionError: If the backbone is not all there, or more than all.
    """
    lacking = [brick.path for brick in missing if brick.in_backbone]
    beyond = [] if table.may_be_larger else [one for one in left if _of_backbone(one, rows, source)]
    reasons = []
    if lacking:
        reasons.append(f"it has nothing for {len(lacking)} layers, such as {lacking[0]}")
    if beyond:
        reasons.append(f"{name!r} has no place for {len(beyond)} arrays, such as {beyond[0]}")
    if reasons:
        raise ConversionError(
            f"{origin} is of another architecture than {name!r} (read as {source.name} names its "
            f"layers): " + "; ".join(reasons)
        )


def check_head(
    name: str,
    origin: str,
    found: Sequence[Brick],
    missing: Sequence[Brick],
    left: Sequence[str],
) -> None:
    """Refuses a head that is there in part: then the model would compute something else.

    Raises:
        ConversionError: If layers of a head are mapped, while others of it are not.
    """
    if all(brick.in_backbone for brick in found):
        return
    lacking = [
        brick.path
        for brick in missing
        if not brick.in_backbone and not brick.path.startswith(_FOR_TRAINING)
    ]
    reasons = []
    if lacking:
        reasons.append(f"the checkpoint has nothing for {', '.join(lacking[:3])}")
    if left:
        reasons.append(f"the model has nothing for {', '.join(left[:3])}")
    if reasons:
        raise ConversionError(
            f"{origin} has another head than {name!r}: {'; '.join(reasons)}. Build the model with "
            "the checkpoint's options (docs/weights.md lists them), or take the backbone alone"
        )


def _of_backbone(array: str, rows: Sequence[Row], source: Source) -> bool:
    dialect = source.dialect
    words = {dialect.words.get(word, word) for word in ("kernel", "gamma")}
    words.add(dialect.depthwise_kernel or dialect.words.get("kernel", "kernel"))
    return any(
        could_be(f"{pattern}{dialect.separator}{word}", array)
        for row in rows
        if row.ours.startswith("backbone_")
        for pattern in (row.layer, row.norm)
        if pattern
        for word in words
    )
