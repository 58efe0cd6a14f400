"""Panoptic label maps: class and instance of a pixel in one integer.

    label = class + 1024 * instance

The class is a class id or the ignore label. Instance 0 is stuff, `CROWD` a region of things that
nobody counted; every other number is one thing, and an image gives each of its things a number of
its own, whatever the class. So a label map of classes alone is a panoptic label map too, and two
pixels belong to one segment where their labels are equal.

Works on integers of NumPy, TensorFlow and every Keras backend.
"""

IGNORE_LABEL = 255  # the class of pixels that count neither in training nor in scores
STEP = 1 << 10
CROWD = (1 << 16) - 1
INSTANCE_OUTPUTS = ("center_heatmap", "center_offsets")  # outputs that look at instances


def class_ids(labels):
    """The classes of a panoptic label map."""
    return labels % STEP


def instance_numbers(labels):
    """The instances of a panoptic label map: 0, 1 ... , `CROWD`."""
    return labels // STEP


def panoptic_labels(classes, instances):
    """The label map of both; `instances` of an integer type that holds 2**26."""
    return classes + STEP * instances


def is_panoptic(output_names) -> bool:
    """Whether a model with these outputs tells instances apart."""
    return all(name in output_names for name in INSTANCE_OUTPUTS)
