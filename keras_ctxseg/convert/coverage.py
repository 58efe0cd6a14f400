"""Whether checkpoint and model are the same network, so far as they must be."""

from collections.abc import Sequence

from keras_ctxseg.convert.layer_weights import Brick
from keras_ctxseg.convert.report import ConversionError
from keras_ctxseg.convert.tables import Row, Source, Table, could_be

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
