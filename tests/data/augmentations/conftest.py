"""The data set whose pixels say where they come from."""

import pytest

from tests.data.augmentations import placed_examples


@pytest.fixture(scope="session")
def places():
    return placed_examples.places()
