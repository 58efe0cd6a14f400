import pytest


@pytest.fixture(scope="session")
def model():
    from tests.export.exporting import tiny_model

    return tiny_model()
