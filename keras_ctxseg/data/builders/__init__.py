"""The papers' data sets: builders for TensorFlow Datasets, and wrappers around its own.

One file per data set, with its classes, its palette, its splits and where it comes from;
`keras_ctxseg.data.load` finds them by name. Importing a data set's module imports
`tensorflow_datasets`, except for the tables of classes (`..._classes`).
"""
