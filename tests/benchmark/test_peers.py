import pytest
import tensorflow as tf

import keras_ctxseg as ctx
from keras_ctxseg.benchmark import benchmark_models
from keras_ctxseg.benchmark.peers import is_peer, load_peer, peer_names


@pytest.mark.whole
def test_tf_models_builds_the_same_network():
    peer = load_peer("tf-models").tf_models_deeplabv3plus((64, 96), num_classes=5, stem="deep")
    assert peer(tf.zeros((1, 64, 96, 3))).shape == (1, 64, 96, 5)
    model = ctx.models.build("deeplabv3plus_resnet50", 5, output_stride=16, stem="deep")
    results = benchmark_models({"ours": model, "theirs": peer}, (64, 96), repeats=2)
    ours, theirs = results.values()
    assert theirs.parameters == ours.parameters
    assert theirs.multiply_adds.total == ours.multiply_adds.total
    assert ours.memory is not None and theirs.memory is None


def test_peers_are_modules_of_the_repository_or_of_the_user(tmp_path):
    assert peer_names() == ["keras-hub", "tf-models"]
    file = tmp_path / "mine.py"
    file.write_text("FORMS = {'saved_model': ('plain',)}\nSHARED_OPTIONS = ()\n")
    assert is_peer("tf-models") and is_peer(str(file)) and not is_peer("fcn_resnet18")
    with pytest.raises(ValueError, match=r"expected `prepare` in the peer's module .*mine\.py"):
        load_peer(str(file))
    with pytest.raises(ValueError, match="expected a peer.*'tf-model'.*Did you mean 'tf-models'"):
        load_peer("tf-model")
