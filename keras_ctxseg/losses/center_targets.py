"""Centres of things, and what the instance branch should say, from panoptic label maps."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from keras_ctxseg.labels.panoptic import CROWD, class_ids, instance_numbers

MAX_INSTANCES = 4095  # numbers that an image may give its things


class InstanceMap(NamedTuple):
    """The instances of a batch of panoptic label maps.

    Attributes:
        numbers: int32 (batch, height, width), 1 ... `MAX_INSTANCES`, or 0 where there is no thing.
        counted: bool (batch, height, width), neither ignored nor in a crowd.
        centers: float32 (batch, MAX_INSTANCES + 1, 2), row and column of each thing's centre of
            mass, in pixels; pixel 0's own place is 0.
        sizes: int32 (batch, MAX_INSTANCES + 1), pixels of each thing.
        wrong: bool (batch, height, width), numbers beyond the largest.
    """

    numbers: Any
    counted: Any
    centers: Any
    sizes: Any
    wrong: Any


def find_instances(labels, ignore_label: int) -> InstanceMap:
    """Centres and pixels of all things.

    Args:
        labels: int32 (batch, height, width), panoptic label maps (`_panoptic_labels`).
        ignore_label: the class of pixels that do not count.
    """
    labels = ops.stop_gradient(labels)
    given = instance_numbers(labels)
    crowd = ops.equal(given, CROWD)
    counted = ops.logical_and(
        ops.not_equal(class_ids(labels), ignore_label), ops.logical_not(crowd)
    )
    wrong = ops.logical_and(counted, ops.logical_or(given < 0, given > MAX_INSTANCES))
    numbers = ops.where(ops.logical_and(counted, ops.logical_not(wrong)), given, 0)

    batch, height, width = ops.shape(labels)
    slots = MAX_INSTANCES + 1
    first_slot = ops.reshape(ops.arange(batch, dtype="int32") * slots, (-1, 1, 1))
    slot = ops.reshape(first_slot + numbers, (-1,))

    def total(values):  # of each thing; whole numbers, since float32 loses count at 2**24
        values = ops.reshape(ops.broadcast_to(values, ops.shape(labels)), (-1,))
        sums = ops.segment_sum(values, slot, num_segments=batch * slots)
        return ops.reshape(sums, (batch, slots))

    sizes = total(ops.ones((1, 1, 1), "int32"))
    rows = ops.reshape(ops.arange(height, dtype="int32"), (1, -1, 1))
    columns = ops.reshape(ops.arange(width, dtype="int32"), (1, 1, -1))
    # In two parts, whose sums stay below 2**31 for any image below 2**26 pixels.
    centers = [
        32.0 * _mean(total(places // 32), sizes) + _mean(total(places % 32), sizes)
        for places in (rows, columns)
    ]
    return InstanceMap(numbers, counted, ops.stack(centers, axis=-1), sizes, wrong)


def heatmap_targets(instances: InstanceMap, sigma: float):
    """1 at the pixel nearest to each thing's centre, a Gaussian around it, the largest counting.

    Returns:
        float32 (batch, height, width).
    """
    shape = ops.shape(instances.numbers)
    centers = ops.round(instances.centers)
    exists = ops.cast(instances.sizes > 0, "float32")
    rows = ops.reshape(ops.arange(shape[1], dtype="float32"), (1, -1, 1))
    columns = ops.reshape(ops.arange(shape[2], dtype="float32"), (1, 1, -1))

    def bell(places, center):
        return ops.exp(-ops.square((places - center[:, None, None]) / sigma) / 2)

    def with_thing(number, heat):
        center = ops.take(centers, number, axis=1)
        down = bell(rows, center[:, 0]) * ops.take(exists, number, axis=1)[:, None, None]
        return ops.maximum(heat, down * bell(columns, center[:, 1]))

    # As many steps as the largest number says: a map at a time, not one for each thing.
    steps = ops.max(instances.numbers) + 1
    start = ops.zeros(shape, "float32")
    return ops.stop_gradient(ops.fori_loop(ops.ones_like(steps), steps, with_thing, start))


def offset_targets(instances: InstanceMap):
    """From each pixel to the centre of its thing; float32 (batch, height, width, 2), in pixels."""
    batch, height, width = ops.shape(instances.numbers)
    slots = MAX_INSTANCES + 1
    first_slot = ops.reshape(ops.arange(batch, dtype="int32") * slots, (-1, 1, 1))
    centers = ops.take(
        ops.reshape(instances.centers, (-1, 2)), first_slot + instances.numbers, axis=0
    )
    rows = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1))
    columns = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1))
    offsets = ops.stack([centers[..., 0] - rows, centers[..., 1] - columns], axis=-1)
    return ops.stop_gradient(offsets)


def _mean(sums, sizes):
    return ops.divide_no_nan(ops.cast(sums, "float32"), ops.cast(sizes, "float32"))


def check_instance_output(labels, output, channels: int, owner: str) -> None:
    """Raises ValueError unless `output` is (batch, height, width, channels) and `labels` fits."""
    label_shape, shape = tuple(labels.shape), tuple(output.shape)
    fits = len(label_shape) == 3 and len(shape) == 4 and shape[-1] == channels
    if not fits or any(
        a is not None and b is not None and a != b
        for a, b in zip(label_shape, shape[:3], strict=True)
    ):
        raise ValueError(
            f"{owner} expects `y_true` of shape (batch, height, width) and `y_pred` of shape "
            f"(batch, height, width, {channels}). Received: y_true of shape {label_shape}, y_pred "
            f"of shape {shape}."
        )
