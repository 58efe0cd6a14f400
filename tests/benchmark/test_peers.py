import pytest
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.benchmark import benchmark_model, tf_models_deeplabv3plus


@pytest.mark.slow
def test_tf_models_builds_the_same_network():
    peer = tf_models_deeplabv3plus((64, 96), num_classes=5, stem="deep")
    assert peer(tf.zeros((1, 64, 96, 3))).shape == (1, 64, 96, 5)
    model = ctx.models.build("deeplabv3plus_resnet50", 5, output_stride=16, stem="deep")
    result = benchmark_model(model, (64, 96), repeats=2, memory=False, peer=peer)
    assert result.peer.parameters == result.parameters
    assert result.peer.multiply_adds.total == result.multiply_adds.total
    assert result.peer_ratio == result.latency.median / result.peer.latency.median
