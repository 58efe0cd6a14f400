"""FCN: a classifier on the last feature map (arXiv 1411.4038), in EncNet's baseline form."""

from keras_ctxseg.heads import fcn_head


def fcn(
    images,
    backbone,
    num_classes: int,
    *,
    filters: int = 512,
    dropout: float = 0.1,
    convs: int = 1,
    concat_input: bool = False,
) -> dict:
    """Builds the outputs of `fcn_*`.

    Args:
        filters: Of the head's 3×3 convolution.
        dropout: Rate of the dropout before the classifier.
        convs: How many 3×3 convolutions the head has; 2 in mmsegmentation's FCN.
        concat_input: Whether one more fuses them with the backbone's features; true in
            mmsegmentation's FCN.
    """
    features = backbone(images)
    logits = fcn_head(
        features[5],
        num_classes,
        images,
        filters,
        dropout,
        convs=convs,
        concat_input=concat_input,
    )
    return {"logits": logits}
