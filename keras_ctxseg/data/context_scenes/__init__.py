"""`context_scenes`, the embedded data set: small drawn scenes in which context decides.

`classes`, `canvas` and `scene` draw with NumPy alone; `builder` holds the TensorFlow Datasets
builder, and `load` makes a `SegmentationDataset` of it.
"""
