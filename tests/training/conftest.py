"""Fixtures of a tiny run, whose parts load when a test asks for them."""

import pytest


@pytest.fixture
def make_model():
    from tests.training.tiny_parts import tiny_model

    return tiny_model


@pytest.fixture
def make_dataset():
    from tests.training.tiny_parts import tiny_dataset

    return tiny_dataset


@pytest.fixture
def make_config(tmp_path):
    """`make_config(name="run", **training)`: a configuration that writes under `tmp_path`."""
    from tests.training.tiny_parts import tiny_config

    return lambda output="runs", **training: tiny_config(tmp_path / output, **training)


@pytest.fixture
def tiny_parts(monkeypatch, make_model, make_dataset):
    """Makes `train` build the tiny network and read the data set in memory."""
    import keras_ctxseg as ctx

    monkeypatch.setattr(ctx.data, "load", lambda name, **options: make_dataset(), raising=False)
    monkeypatch.setattr(
        ctx.models,
        "build",
        lambda name, num_classes, weights=None, **options: make_model(num_classes),
    )
