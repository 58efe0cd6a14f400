"""Batch normalisation by the backend's fused kernel where there is one."""

import keras


@keras.saving.register_keras_serializable("keras_ctxseg")
class BatchNorm(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over the last axis, about three times as fast to train on
    CPU.

    Keras composes the training form of a dozen element-wise operations, each a pass over the
    activations; TensorFlow has one kernel for it and one for its gradient. The result is the same,
    but for the moving variance, which counts the batch's variance without bias (as PyTorch's does).
    Everything else (inference, synchronised statistics, other backends) is Keras' own.

    Args:
        momentum: Of the moving averages. The default, 0.9, follows short runs, where Keras' 0.99
            lags.
        epsilon: Added to the variance.
        **kwargs: As for `keras.layers.BatchNormalization`.
    """

    def __init__(self, momentum: float = 0.9, epsilon: float = 1e-3, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        fused = (
            training
            and self.trainable
            and mask is None
            and not self.synchronized
            and keras.backend.backend() == "tensorflow"
        )
        if not fused:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            # The kernel keeps its parameters in float32 whatever the activations are in.
            tf.cast(self.gamma, tf.float32),
            tf.cast(self.beta, tf.float32),
            epsilon=self.epsilon,
            is_training=True,
        )
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(
                average * self.momentum + tf.cast(value, average.dtype) * (1.0 - self.momentum)
            )
        return outputs
