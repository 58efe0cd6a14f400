"""The private parts of Keras that training on replicas replaces or calls.

If a test here fails, Keras has changed what `keras_ctxseg/models/replicated.py` and the files that
it imports rely on. Compare that function of the new Keras with the one described below, adapt those
files, run the tests of this folder, and only then widen the range of versions in pyproject.toml.
"""

import inspect

import keras
import pytest

from keras_ctxseg.models import SegmentationModel

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute")

WHAT_TO_DO = (
    "Keras moved {name}, which training on replicas {why}. See the top of "
    "tests/distribution/test_private_keras.py for what to do."
)

# Method of keras.Model, its parameters, and what for.
METHODS = {
    "_maybe_symbolic_build": (["iterator", "data_batch"], "replaces to build from a local batch"),
    "_make_function": (["step_function"], "replaces to run steps on all replicas"),
    "make_predict_function": (["force"], "replaces to predict on all replicas"),
    "_symbolic_build": (["iterator", "data_batch"], "calls to build metrics and losses"),
    "_get_metrics_result_or_logs": (["logs"], "calls for the metrics of all replicas"),
    "_flatten_layers": (["include_self", "recursive"], "calls to find batch normalisation"),
    "train_step": (["data"], "replaces to train in pieces"),
    "test_step": (["data"], "replaces to count images once"),
}
# Method of an optimizer.
OPTIMIZER_METHODS = {
    "_backend_apply_gradients": (["grads", "trainable_variables"], "adds gradients up before"),
    "_all_reduce_sum_gradients": (["grads_and_vars"], "replaces by nothing: they are added up"),
}
# What must stand in the source of Keras' methods: the places where ours are called.
CALLS = {
    "fit": ["self._maybe_symbolic_build(iterator=", "self.train_function(iterator)",
            "self.evaluate(", "_use_cached_eval_dataset=True"],
    "evaluate": ["self._maybe_symbolic_build(iterator=", "self.test_function(iterator)"],
    "predict": ["self.predict_function(data)", "distribute_strategy=self.distribute_strategy"],
    "make_train_function": ["self._make_function(self.train_step)"],
    "make_test_function": ["self._make_function(self.test_step)"],
    "train_step": ["unscale_loss_for_distribution(loss)", "self._loss_tracker.update_state"],
}  # fmt: skip


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize("name", METHODS)
def test_method_of_the_model(name):
    expected, why = METHODS[name]
    message = WHAT_TO_DO.format(name=f"keras.Model.{name}", why=why)
    method = getattr(keras.Model, name, None)
    assert method is not None, message
    assert parameters(method) == expected, message


@pytest.mark.parametrize("name", OPTIMIZER_METHODS)
@pytest.mark.parametrize("kind", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_method_of_the_optimizer(kind, name):
    expected, why = OPTIMIZER_METHODS[name]
    message = WHAT_TO_DO.format(name=f"{kind.__name__}.{name}", why=why)
    method = getattr(kind, name, None)
    assert method is not None, message
    assert parameters(method) == expected, message


@pytest.mark.parametrize("name", CALLS)
def test_keras_calls_what_is_replaced(name):
    source = inspect.getsource(inspect.unwrap(getattr(keras.Model, name)))
    for call in CALLS[name]:
        message = WHAT_TO_DO.format(name=f"{call!r} in keras.Model.{name}", why="stands in for")
        assert call in source, message


def test_clipping_comes_after_the_sum():
    """Keras clips in `_backend_apply_gradients`, before `_all_reduce_sum_gradients`."""
    source = inspect.getsource(keras.optimizers.SGD._backend_apply_gradients)
    message = WHAT_TO_DO.format(name="clipping in the optimizer", why="puts after the sum")
    assert "self._clip_gradients(grads)" in source, message
    source = inspect.getsource(keras.optimizers.SGD._backend_update_step)
    assert "self._all_reduce_sum_gradients(grads_and_vars)" in source, message


def test_data_adapters():
    """`fit` takes an adapter of ours as it is, and asks it for a data set and its length."""
    from keras.src.backend.tensorflow.trainer import TFEpochIterator
    from keras.src.trainers import data_adapters
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split
    from keras.src.trainers.data_adapters.data_adapter import DataAdapter

    message = WHAT_TO_DO.format(name="its data adapters", why="hands its streams to")
    assert {"get_tf_dataset", "num_batches", "on_epoch_begin", "on_epoch_end"} <= set(
        vars(DataAdapter)
    ), message
    assert "isinstance(x, data_adapter.DataAdapter)" in inspect.getsource(
        data_adapters.get_data_adapter
    ), message
    source = inspect.getsource(TFEpochIterator)
    assert "self.data_adapter.get_tf_dataset()" in source, message
    assert "isinstance(dataset, tf.distribute.DistributedDataset)" in source, message
    assert issubclass(ArrayDataAdapter, DataAdapter), message
    assert parameters(train_validation_split) == ["arrays", "validation_split"], message


def test_attributes_of_a_compiled_model():
    images = keras.Input((None, None, 3))
    model = SegmentationModel(images, {"logits": keras.layers.Conv2D(2, 1)(images)})
    model.compile(loss={"logits": "mse"}, jit_compile=False)
    for name in ("_distribute_strategy", "_loss_tracker", "loss", "jit_compile"):
        message = WHAT_TO_DO.format(name=f"keras.Model.{name}", why="reads")
        assert hasattr(model, name), message
    assert model._distribute_strategy is None and not model.is_replicated
    optimizer = keras.optimizers.SGD()
    for name in ("clipnorm", "global_clipnorm", "clipvalue", "gradient_accumulation_steps"):
        message = WHAT_TO_DO.format(name=f"the optimizer's {name}", why="reads")
        assert hasattr(optimizer, name), message
