"""Stock `fit`, `evaluate` and `predict` on several replicas: the methods of Keras that change."""

from __future__ import annotations

import functools

import keras


class ReplicatedTraining:
    """Mixed into a `keras.Model`: its loops under `tf.distribute`, numbers as on one device.

    A model that is built inside the scope of a mirrored, multi-worker or TPU strategy

    - splits each batch evenly over the replicas; the `batch_size` and the batches of a data set
      are global. Each worker passes the whole data set, the same on all;
    - fills uneven evaluation batches up with ignored images, so that `evaluate`, validation and
      `predict` count each image once, whatever the batch and the number of replicas;
    - runs `steps_per_execution` steps a call, and stops at the last one.

    Everywhere else, other backends of Keras included, nothing differs from Keras.

    Attributes:
        accumulate_steps: pieces that a batch is cut into, one after another, for one update with
            the mean of their gradients: less memory, the same batch. 1 for no cut. To be set before
            `fit`; TensorFlow only.
    """

    accumulate_steps: int = 1

    @functools.cached_property
    def _steps_left(self) -> dict[str, int | None]:
        """Steps until the end of the epoch, evaluation, prediction; None where nothing tells."""
        return {"train": None, "test": None, "predict": None}

    @property
    def is_replicated(self) -> bool:
        """Whether Keras' own loops do not serve."""
        strategy = getattr(self, "_distribute_strategy", None)
        if strategy is None:
            return False
        from keras_ctxseg.distribution.steps import is_replicated

        return is_replicated(strategy)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        if not self.is_replicated:
            return super().fit(*args, **kwargs)
        from keras_ctxseg.distribution.arguments import fit_arguments, named

        return super().fit(**fit_arguments(self, named(super().fit, args, kwargs)))

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args, **kwargs):
        if not self.is_replicated:
            return super().evaluate(*args, **kwargs)
        from keras_ctxseg.distribution.arguments import evaluate_arguments, named

        return super().evaluate(**evaluate_arguments(self, named(super().evaluate, args, kwargs)))

    @functools.wraps(keras.Model.predict)
    def predict(self, *args, **kwargs):
        if not self.is_replicated:
            return super().predict(*args, **kwargs)
        from keras_ctxseg.distribution.arguments import named, predict_arguments

        return super().predict(**predict_arguments(self, named(super().predict, args, kwargs)))

    def train_step(self, *arguments):  # `data` on TensorFlow, `state, data` on JAX
        if self.accumulate_steps == 1:
            return super().train_step(*arguments)
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                "`accumulate_steps` needs Keras on TensorFlow; elsewhere give the optimizer "
                f"gradient_accumulation_steps. Received: {self.accumulate_steps}"
            )
        from keras_ctxseg.distribution.steps import train_step

        return train_step(self, *arguments)

    def test_step(self, *arguments):
        if not self.is_replicated:
            return super().test_step(*arguments)
        from keras_ctxseg.distribution.steps import test_step

        return test_step(self, *arguments)

    def predict_on_batch(self, x):
        if not self.is_replicated:
            return super().predict_on_batch(x)
        from keras_ctxseg.distribution.steps import predict_on_batch

        return predict_on_batch(self, x)

    # What follows is private in Keras; tests/distribution/test_private_keras.py watches it.

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if not self.is_replicated:
            return super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
        from keras_ctxseg.distribution.steps import symbolic_batch

        if iterator is not None:
            data_batch = symbolic_batch(self.distribute_strategy, iterator)
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function, *args, **kwargs):
        if not self.is_replicated:
            return super()._make_function(step_function, *args, **kwargs)
        from keras_ctxseg.distribution.steps import make_function

        return make_function(self, step_function)

    def make_predict_function(self, force=False):
        if not self.is_replicated:
            return super().make_predict_function(force=force)
        from keras_ctxseg.distribution.steps import make_predict_function

        if self.predict_function is None or force:
            self.predict_function = make_predict_function(self)
        return self.predict_function
