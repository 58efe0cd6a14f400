"""The data set whose pixels say where they come from."""

import pytest


@pytest.fixture(scope="session")
def places():
    from tests.data.augmentations import placed_examples

    return placed_examples.places()
