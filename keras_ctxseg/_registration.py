"""Registers every class of the package with Keras, so that saved models load by name."""

import importlib

# Every module that registers classes with Keras; a test compares this list with the source.
REGISTERED = (
    "layers.aspp",
    "layers.atrous_consensus",
    "layers.atrous_conv",
    "layers.atrous_pooling",
    "layers.batch_norm",
    "layers.collapsed",
    "layers.context_encoding",
    "layers.conv_norm_act",
    "layers.encoding",
    "layers.image_pooling",
    "layers.layer_scale",
    "layers.normalize_images",
    "layers.relation_propagator",
    "layers.relational_semantics",
    "layers.resize",
    "layers.resize_nearest",
    "layers.shared_kernel",
    "layers.shared_kernel_aspp",
    "layers.spam_branch",
    "losses.boundary",
    "losses.center_losses",
    "losses.class_presence",
    "losses.focal",
    "losses.lovasz_softmax",
    "losses.overlap_losses",
    "losses.segmentation_crossentropy",
    "losses.weighted_sum",
    "metrics.confusion",
    "models.segmentation_model",
    "training.optimizers",
    "training.schedule",
)


def register_classes() -> None:
    """Imports the modules that register classes; call it before a model is loaded."""
    for module in REGISTERED:
        importlib.import_module(f"keras_ctxseg.{module}")
