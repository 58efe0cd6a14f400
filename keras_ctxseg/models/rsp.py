"""RSP head (arXiv 2106.01744): cross-scale relation between pixels and regions."""

from keras_ctxseg.heads import classify, efficient_pyramid, instance_head, rsp_head


def rsp(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 128,
    window: int = 5,
    heads: int = 8,
    dropout: float = 0.1,
) -> dict:
    """Builds the outputs of `rsp_*`.

    Args:
        filters: Channels of the pyramid and of the relations; a multiple of `heads`. (Ours.)
        window: Cells on each side of the region that a pixel relates to; 1 makes a control without
            relation. (Ours.)
        heads: Attention heads. (Ours.)
        dropout: Rate of the dropout before the classifier. (Ours.)
    """
    logits, _ = _semantics(images, backbone, num_classes, filters, window, heads, dropout)
    return {"logits": logits}


def rsp_panoptic(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 128,
    window: int = 5,
    heads: int = 8,
    dropout: float = 0.1,
) -> dict:
    """Builds the outputs of `rsp_panoptic_*`: `rsp`, and centres of things from its pyramid.

    Args:
        filters, window, heads, dropout: As in `rsp`.
    """
    logits, pyramid = _semantics(images, backbone, num_classes, filters, window, heads, dropout)
    return {"logits": logits, **instance_head(pyramid, images, filters)}


def _semantics(images, backbone, num_classes, filters, window, heads, dropout):
    features = backbone(images)
    reductions = {info.level: info.reduction for info in backbone.features}
    pyramid = efficient_pyramid({level: features[level] for level in (2, 3, 4, 5)}, filters)
    x = rsp_head(pyramid, reductions, filters, window, heads)
    return classify(x, num_classes, images, dropout=dropout), pyramid
