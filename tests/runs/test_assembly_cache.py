"""`data.cache` as a recipe writes it, against what the pipeline takes."""

import dataclasses

import pytest

from keras_ctxseg.runs import assembly


@pytest.mark.parametrize(
    ("written", "taken"), [("auto", "auto"), (True, "memory"), (False, "none")]
)
def test_cache(make_config, make_dataset, written, taken):
    config = make_config()
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, cache=written))
    assert assembly.build_pipeline(config, make_dataset()).cache == taken
