"""The Lovász-softmax loss: a convex surrogate of mean IoU."""

from __future__ import annotations

import keras
from keras import ops

from keras_ctxseg.labels.panoptic import IGNORE_LABEL
from keras_ctxseg.losses.batch_mean import of_global_sums
from keras_ctxseg.losses.pixels import class_maps, mean_over_present, read_pixels


@keras.saving.register_keras_serializable(package="keras_ctxseg")
class LovaszSoftmaxLoss(keras.losses.Loss):
    """Lovász extension of the Jaccard loss at the errors of the softmax.

    The mean over the classes that the labels show; each class over all valid pixels of the batch.
    It sorts the pixels of each class, so it takes more time and memory than the other losses:
    several arrays of (classes, batch * height * width). Under `tf.distribute`, the errors of all
    replicas are gathered on each of them.

    Args:
        ignore_label: pixels with this id add neither loss nor gradient.
        name: the name of the loss.
        dtype: dtype or policy of the computation, float32 at least.

    Call arguments:
        y_true: integer labels, (batch, height, width).
        y_pred: logits, (batch, height, width, classes).
        sample_weight: optional, (batch,) or (batch, height, width); pixels of weight 0 are left
            out, all others count alike.

    Call returns:
        Float scalar, 0 with zero gradients where no pixel is valid; NaN where a label is neither a
        class nor the ignore label.

    Raises:
        ValueError: where the shapes of labels and logits disagree.

    Reference: Berman et al., "The Lovász-Softmax loss: A tractable surrogate for the optimization
    of the intersection-over-union measure in neural networks", CVPR 2018.
    """

    def __init__(
        self,
        ignore_label: int = IGNORE_LABEL,
        name: str = "lovasz_softmax",
        dtype: str | None = None,
    ):
        super().__init__(name=name, reduction=None, dtype=dtype or "float32")
        self.ignore_label = int(ignore_label)

    def __call__(self, y_true, y_pred, sample_weight=None):
        with keras.name_scope(self.name):
            pixels = read_pixels(self, y_true, y_pred, sample_weight)
            pixels = pixels._replace(valid=pixels.weights > 0)
            truth, probabilities = map(_by_class, class_maps(pixels))
            valid = ops.reshape(pixels.valid, (1, -1))
            # Below all errors, so that pixels that do not count come last.
            errors = ops.where(valid, ops.abs(truth - probabilities), -1.0)
            slopes, present = _global_slopes(ops.stop_gradient(errors), truth)
            losses = ops.sum(ops.where(valid, errors * slopes, 0.0), axis=1)
            share = of_global_sums(lambda loss: loss, [mean_over_present(losses, present)])
            return share * pixels.alarm

    def call(self, y_true, y_pred):
        return self(y_true, y_pred)

    def get_config(self):
        return {"ignore_label": self.ignore_label, "name": self.name, "dtype": self.dtype}


def _by_class(maps):
    return ops.transpose(ops.reshape(maps, (-1, maps.shape[-1])))


def _global_slopes(errors, truth):
    """The loss is linear in the errors of one order: its slopes, for this replica's pixels.

    Args:
        errors: (classes, pixels), below 0 where a pixel does not count.
        truth: (classes, pixels), 1 on the pixels of the class.

    Returns:
        The slopes, (classes, pixels), and whether the labels show each class, (classes,).
    """
    if keras.backend.backend() == "tensorflow":
        from keras_ctxseg.distribution.collectives import gather_columns

        errors, truth, own = gather_columns(errors, truth)
    else:
        own = slice(None)
    order = ops.argsort(-errors, axis=1)
    ordered = ops.take_along_axis(truth, order, axis=1)
    labelled = ops.sum(truth, axis=1, keepdims=True)
    missed = labelled - ops.cumsum(ordered, axis=1)
    union = labelled + ops.cumsum(1.0 - ordered, axis=1)
    jaccard = 1.0 - ops.divide_no_nan(missed, union)
    first = jaccard[:, :1]
    slopes = ops.concatenate([first, jaccard[:, 1:] - jaccard[:, :-1]], axis=1)
    rank = ops.argsort(order, axis=1)
    return ops.take_along_axis(slopes, rank, axis=1)[:, own], labelled[:, 0] > 0
