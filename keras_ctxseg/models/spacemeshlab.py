"""SpaceMeshLab: spatial context memoization and atrous consensus (arXiv 2106.04025)."""

from keras_ctxseg.heads import classify, classify_with_memory, fcn_head
from keras_ctxseg.layers import AtrousConsensus, ConvNormAct, SpaMBranch


def default_rates(output_stride: int) -> tuple[int, ...]:
    """(1, 6, 12, 18) at output stride 16, doubled at 8, halved at 32, and at least 1 (ours)."""
    return tuple(max(1, rate * 16 // output_stride) for rate in (1, 6, 12, 18))


def spacemeshlab(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 256,
    rates: tuple[int, ...] | None = None,
    branch_filters: int | None = None,
    share_kernel: bool = True,
    consensus: str = "attention",
    spam_channels: int = 16,
    spam_stride: int = 1,
    spam_down: str = "space_to_depth",
    spam_block: int = 8,
    spam: bool = True,
    metrocon: bool = True,
    auxiliary: bool = True,
    dropout: float = 0.1,
) -> dict:
    """Builds the outputs of `spacemeshlab_*`.

    The paper states the system (ResNet-101, SpaM and MetroCon²). Every option here is ours, as are
    output stride 8 and the auxiliary head.

    Args:
        filters: Of the consensus and of the auxiliary head.
        rates: Atrous rates in feature pixels; by default (1, 6, 12, 18) at output stride 16, scaled
            to the backbone's.
        branch_filters: Of each branch of the grid; by default a quarter of `filters`.
        share_kernel: Whether the grid shares one kernel; see `AtrousConsensus`.
        consensus: `"attention"`, `"mean"` or `"concat"`; see `AtrousConsensus`.
        spam_channels: Of the SpaM branch.
        spam_stride: Image pixels per pixel of the SpaM branch: 1, 2 or 4.
        spam_down: `"space_to_depth"`, `"strided_conv"` or `"average_pooling"`; see `SpaMExchange`.
        spam_block: Image pixels a side that it folds at most; see `SpaMExchange`.
        spam: Whether there is a SpaM branch; without it the context alone is classified.
        metrocon: Whether the consensus runs; else a 1×1 conv-norm-act to `filters` stands in its
            place. Both are for taking the system apart.
        auxiliary: Whether level 4 carries an FCN head, `aux_logits`.
        dropout: Rate of the dropout before the classifiers.
    """
    rates = rates or default_rates(backbone.output_stride)
    memory = None
    if spam:
        branch = SpaMBranch(spam_channels, spam_stride, spam_down, spam_block, name="spam")
        memory, features = _with_memory(images, backbone, branch)
    else:
        features = backbone(images)
    if metrocon:
        context = AtrousConsensus(
            filters, rates, branch_filters, share_kernel, consensus, name="consensus"
        )
    else:
        context = ConvNormAct(filters, name="reduce")
    x = context(features[5])
    if memory is None:
        outputs = {"logits": classify(x, num_classes, images, dropout=dropout)}
    else:
        outputs = {"logits": classify_with_memory(x, memory, num_classes, images, dropout)}
    if auxiliary:
        outputs["aux_logits"] = fcn_head(
            features[4], num_classes, images, filters, dropout, name="aux_logits"
        )
    return outputs


def _with_memory(images, backbone, branch):
    """The branch's last map, and the backbone's features, which it has had a part in, by level."""
    if not backbone.stages:
        name = getattr(backbone, "name", type(backbone).__name__)
        raise ValueError(
            f"SpaM exchanges with the backbone between its stages, and {name!r} has none"
            + (f": {backbone.no_stages}" if backbone.no_stages else "")
            + ". Build the model with spam=False"
        )
    x = backbone.normalize(images)
    memory = branch(x)
    x = backbone.stem(x)
    features = {}
    reductions = {info.level: info.reduction for info in backbone.features}
    for level, stage in backbone.stages.items():
        memory, x = branch.exchange(
            memory, stage(x), reductions[level], name=f"spam_exchange{level}"
        )
        features[level] = x
    return memory, features
