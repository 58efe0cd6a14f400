"""Tiny networks, data in memory and whole runs of both."""

from tests.fixtures.tiny_runs import make_config, make_dataset, make_model, tiny_parts

__all__ = ["make_config", "make_dataset", "make_model", "tiny_parts"]
