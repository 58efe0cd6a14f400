"""FCN: a classifier on the last feature map (arXiv 1411.4038), in EncNet's baseline form."""

from keras_ctxseg.heads import fcn_head


def fcn(images, backbone, num_classes: int, *, filters: int = 512, dropout: float = 0.1) -> dict:
    """Builds the outputs of `fcn_*`.

    Args:
        filters: Of the head's 3×3 convolution.
        dropout: Rate of the dropout before the classifier.
    """
    features = backbone(images)
    return {"logits": fcn_head(features[5], num_classes, images, filters, dropout)}
