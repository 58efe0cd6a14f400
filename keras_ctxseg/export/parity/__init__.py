"""Comparison of an exported file with its Keras model."""
