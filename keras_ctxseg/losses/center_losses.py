"""Losses of the instance branch (Panoptic-DeepLab, arXiv 1911.10194, section 3.2)."""

from __future__ import annotations

import abc

import keras
from keras import ops

from keras_ctxseg.labels.maps import alarm_factor, pixel_weights
from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses.batch_mean import batch_mean
from keras_ctxseg.losses.center_targets import (
    check_instance_output,
    find_instances,
    heatmap_targets,
    offset_targets,
)


class _CenterLoss(keras.losses.Loss, abc.ABC):
    """Shared part: the mean over the pixels of the global batch that count.

    Labels are panoptic label maps, class + 1024 · instance, whose things have numbers of their own
    in 1 ... 4095. A number beyond that makes the loss NaN on every backend, as a wrong label does
    in `SegmentationCrossentropy`.
    """

    def __init__(
        self, ignore_label: int = IGNORE_LABEL, name: str | None = None, dtype: str | None = None
    ):
        super().__init__(name=name, reduction=None, dtype=dtype or "float32")
        self.ignore_label = int(ignore_label)

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            return batch_mean(*self.sum_and_count(y_true, y_pred, sample_weight))

    def call(self, y_true, y_pred):
        return batch_mean(*self.sum_and_count(y_true, y_pred))

    def sum_and_count(self, y_true, y_pred, sample_weight=None):
        """The weighted sum of the pixel losses and the sum of the weights, two float scalars."""
        labels = ops.cast(ops.convert_to_tensor(y_true), "int32")
        output = ops.cast(ops.convert_to_tensor(y_pred), self.dtype)
        check_instance_output(labels, output, self.channels, type(self).__name__)
        instances = find_instances(labels, self.ignore_label)
        counted, losses = self.pixel_losses(instances, output)
        weights = ops.cast(counted, self.dtype)
        if sample_weight is not None:
            weights = weights * pixel_weights(sample_weight, labels, self.dtype)
        alarm = alarm_factor(instances.wrong, self.dtype)
        # `where`, not a product: 0 * inf of a pixel that does not count would be NaN.
        losses = ops.where(counted, losses, 0.0)
        return ops.sum(losses * weights) * alarm, ops.sum(weights) * alarm

    channels: int

    @abc.abstractmethod
    def pixel_losses(self, instances, output):
        """Which pixels count, and each pixel's loss, both (batch, height, width)."""

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, "ignore_label": self.ignore_label}


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class CenterHeatmapLoss(_CenterLoss):
    """Mean squared error of the heat map of centres, over all pixels but ignored and crowded ones.

    The target is 1 at the pixel nearest to each thing's centre of mass, with a Gaussian around it.

    Args:
        ignore_label: the class of pixels that do not count.
        sigma: standard deviation of the Gaussians, in pixels of the label map.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Call arguments:
        y_true: integer panoptic label maps, (batch, height, width).
        y_pred: (batch, height, width, 1).
        sample_weight: optional, (batch,) or (batch, height, width); weight 0 leaves out.

    Raises:
        ValueError: where the shapes disagree or `sigma` is not above 0.
    """

    channels = 1

    def __init__(
        self,
        ignore_label: int = IGNORE_LABEL,
        sigma: float = 8.0,
        name: str = "center_heatmap_loss",
        dtype: str | None = None,
    ):
        super().__init__(ignore_label, name, dtype)
        if not sigma > 0:
            raise ValueError(f"`sigma` must be above 0. Received: sigma={sigma}")
        self.sigma = float(sigma)

    def pixel_losses(self, instances, output):
        target = ops.cast(heatmap_targets(instances, self.sigma), self.dtype)
        return instances.counted, ops.square(output[..., 0] - target)

    def get_config(self):
        return {**super().get_config(), "sigma": self.sigma}


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class CenterOffsetLoss(_CenterLoss):
    """Mean over the pixels of things of |down| + |right|, the error of their offsets in pixels.

    Args:
        ignore_label: the class of pixels that do not count.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Call arguments:
        y_true: integer panoptic label maps, (batch, height, width).
        y_pred: (batch, height, width, 2), to the centre of the pixel's thing, down and right.
        sample_weight: optional, (batch,) or (batch, height, width); weight 0 leaves out.

    Raises:
        ValueError: where the shapes disagree.
    """

    channels = 2

    def __init__(
        self,
        ignore_label: int = IGNORE_LABEL,
        name: str = "center_offset_loss",
        dtype: str | None = None,
    ):
        super().__init__(ignore_label, name, dtype)

    def pixel_losses(self, instances, output):
        errors = ops.abs(output - ops.cast(offset_targets(instances), self.dtype))
        return instances.numbers > 0, ops.sum(errors, axis=-1)
