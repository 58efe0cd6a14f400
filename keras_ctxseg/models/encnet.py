"""EncNet: context encoding for semantic segmentation (arXiv 1803.08904)."""

from keras_ctxseg.heads import encnet_head, fcn_head, presence_head
from keras_ctxseg.layers import EncodedSemantics


def encnet(
    images,
    backbone,
    num_classes: int,
    *,
    variant: str = "released",
    filters: int = 512,
    num_codewords: int = 32,
    lateral: bool = False,
    presence: bool = True,
    auxiliary: bool = True,
    auxiliary_filters: int | None = None,
    dropout: float = 0.1,
) -> dict:
    """Builds the outputs of `encnet_*`.

    Args:
        variant: `"released"` (the authors' later code) or `"paper"`: what the module computes, see
            `ContextEncoding`, and what `auxiliary` adds.
        filters: Of the head.
        num_codewords: Of the encoding layer.
        lateral: Whether levels 3 and 4 join in before the encoding (released code, off by default).
        presence: Whether the encoded vector also predicts which classes occur: `presence_logits`.
        auxiliary: Whether the third stage (level 4) has a loss of its own: an FCN head,
            `aux_logits` (`"released"`), or an encoding layer that predicts which classes occur,
            `aux_presence_logits` (`"paper"`, section 2.1; that it reads the stage's map as it is,
            without a convolution before it, is ours).
        auxiliary_filters: Of that FCN head; by default half of `filters`.
        dropout: Rate of the dropout before each classifier.
    """
    features = backbone(images)
    outputs = encnet_head(
        features, num_classes, images, filters, num_codewords, variant, lateral, presence, dropout
    )
    if auxiliary and variant == "released":
        filters = auxiliary_filters or filters // 2
        outputs["aux_logits"] = fcn_head(
            features[4], num_classes, images, filters, dropout, name="aux_logits"
        )
    elif auxiliary:
        encoded = EncodedSemantics(num_codewords, variant, name="aux_encoding")(features[4])
        outputs["aux_presence_logits"] = presence_head(encoded, num_classes, "aux_presence_logits")
    return outputs
