"""PyTorch-Encoding, of EncNet's authors: whole EncNet, FCN and DeepLabv3 on ResNet-50s and 101s.

How they are built here, all with `stem="deep", output_stride=8`:

    encnet_resnet50            lateral=True for PASCAL-Context, the default for ADE20K
    fcn_resnet50               the defaults
    deeplabv3_resnet50         rates=(12, 24, 36), head_conv=True

It interpolates its scores with aligned corners, we never do: the classifiers' scores are the same,
the logits at the image's size are a fraction of a pixel apart.
"""

from keras_ctxseg.convert.sources.torchvision import (
    BLOCKS,
    COUNTERS,
    EPSILON,
    IMAGENET_CLASSIFIER,
    STEM_7X7,
    STEM_DEEP,
)
from keras_ctxseg.convert.tables import TORCH, Row, Source, Table

_ENCNET = (
    Row("head_conv", "head.conv5.0", "head.conv5.1"),
    Row("lateral{n}", "head.connect.{n-3}.0", "head.connect.{n-3}.1"),
    Row("lateral_fusion", "head.fusion.0", "head.fusion.1"),
    Row(
        "context_encoding/semantics/project",
        "head.encmodule.encoding.0",
        "head.encmodule.encoding.1",
    ),
    Row("context_encoding/semantics/encoding", "head.encmodule.encoding.3"),
    Row("context_encoding/semantics", norm="head.encmodule.encoding.4"),
    Row("context_encoding/gate", "head.encmodule.fc.0"),
    Row("presence_logits", "head.encmodule.selayer"),
    Row("logits_classifier", "head.conv6.1"),
    Row("aux_conv", "auxlayer.conv5.0", "auxlayer.conv5.1"),
    Row("aux_logits_classifier", "auxlayer.conv5.4"),
)
_FCN = (Row("logits_classifier", "head.conv5.4"),)  # its convolution is EncNet's
_DEEPLABV3 = (
    Row("aspp/pointwise", "head.aspp.b0.0", "head.aspp.b0.1"),
    Row("aspp/atrous{n}", "head.aspp.b{n}.0", "head.aspp.b{n}.1"),
    Row("aspp/pooling/project", "head.aspp.b4.gap.1", "head.aspp.b4.gap.2"),
    Row("aspp/project", "head.aspp.project.0", "head.aspp.project.1"),
    Row("head_conv", "head.block.0", "head.block.1"),
    Row("logits_classifier", "head.block.4"),
)

PYTORCH_ENCODING = Source(
    "pytorch-encoding",
    TORCH,
    (Table("resnet", (*STEM_DEEP, *STEM_7X7, *BLOCKS, *_ENCNET, *_FCN, *_DEEPLABV3), EPSILON),),
    renames=((r"^pretrained\.", ""),),
    unused=(
        COUNTERS,
        IMAGENET_CLASSIFIER,
        (r"^auxlayer\.", "auxiliary head, for training only"),
    ),
)
