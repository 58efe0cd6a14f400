"""A tiny model and random examples of mixed sizes."""

from tests.fixtures.tiny_model import examples, model

__all__ = ["examples", "model"]
