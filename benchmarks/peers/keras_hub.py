"""keras-hub's DeepLabv3+ on a ResNet, built as its own presets are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_ctxseg.benchmark.subject import Subject

# For each form of our models, the forms of this peer that are measured beside it.
FORMS = {"keras": ("keras",), "saved_model": ("saved_model",)}
SHARED_OPTIONS = ()
_BLOCKS = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3]}


def prepare(subject: Subject, folder: Path) -> tuple[Callable, dict]:
    """A call that runs the subject once, and its facts; see `benchmark.own_models.prepare`.

    Its ResNet does not dilate: the pyramid reads stride 32, with the rates of its presets.
    """
    from keras_ctxseg.benchmark.own_models import kept, loaded, runs
    from keras_ctxseg.costs.graph import traced

    options = dict(subject.options)
    depth = options.pop("depth", 50)
    if options or depth not in _BLOCKS:
        raise ValueError(f"`--against keras-hub`: expected `depth` among {tuple(_BLOCKS)} and "
                         f"nothing else. Received: {dict(subject.options)}")  # fmt: skip
    exported = subject.exported(folder)
    if exported is None:
        model = _build(subject, depth)
        return runs(traced(model, (1, *subject.size, 3)), subject), _facts(model, subject)

    def export() -> dict:
        model = _build(subject, depth)
        model.export(str(exported), verbose=False)
        return _facts(model, subject)

    facts = kept(exported, export)
    return loaded(exported, "serving_default", subject), facts


def _facts(model, subject: Subject) -> dict:
    from keras_ctxseg.benchmark.own_models import versions
    from keras_ctxseg.costs.multiply_adds import count_multiply_adds, trainable_parameters

    counted = count_multiply_adds(model, subject.size).total
    return {
        "parameters": trainable_parameters(model),
        "multiply_adds": counted,
        "multiply_adds_run": counted,
        "versions": versions("tensorflow", "keras", "keras-hub"),
    }


def _build(subject: Subject, depth: int):
    try:
        from keras_hub import models
    except ImportError as error:
        raise ImportError(
            f"keras-hub is not installed (pip install 'keras-ctxseg[peers]'): {error}"
        ) from error
    shape = (*subject.size, 3)
    backbone = models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=_BLOCKS[depth],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="bottleneck_block",
        image_shape=shape,
    )
    pyramid = models.DeepLabV3Backbone(
        image_encoder=backbone,
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        low_level_feature_key="P2",
        dilation_rates=[6, 12, 18],
        image_shape=shape,
    )
    return models.DeepLabV3ImageSegmenter(pyramid, subject.num_classes)
