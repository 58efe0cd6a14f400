import pytest
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.benchmark import benchmark_models, tf_models_deeplabv3plus


@pytest.mark.slow
def test_tf_models_builds_the_same_network():
    peer = tf_models_deeplabv3plus((64, 96), num_classes=5, stem="deep")
    assert peer(tf.zeros((1, 64, 96, 3))).shape == (1, 64, 96, 5)
    model = ctx.models.build("deeplabv3plus_resnet50", 5, output_stride=16, stem="deep")
    results = benchmark_models({"ours": model, "theirs": peer}, (64, 96), repeats=2)
    ours, theirs = results.values()
    assert theirs.parameters == ours.parameters
    assert theirs.multiply_adds.total == ours.multiply_adds.total
    assert ours.memory is not None and theirs.memory is None
