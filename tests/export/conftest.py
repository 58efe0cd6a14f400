import pytest

from tests.export.exporting import tiny_model


@pytest.fixture(scope="session")
def model():
    return tiny_model()
