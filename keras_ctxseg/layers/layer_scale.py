"""A learned factor for each channel at the end of a residual branch."""

import keras


@keras.saving.register_keras_serializable("keras_ctxseg")
class LayerScale(keras.layers.Layer):
    """`gamma * inputs`, one factor a channel (arXiv 2103.17239; in ConvNeXt, 2201.03545).

    As keras.applications has it, whose weight has no name of its own: this one's path does not
    depend on what else a process has built.

    Args:
        init_value: Of every factor.

    Call arguments:
        inputs: `(..., channels)`.
    """

    def __init__(self, init_value: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.init_value = init_value

    def build(self, input_shape):
        self.gamma = self.add_weight(
            name="gamma",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.init_value),
        )

    def call(self, inputs):
        return inputs * self.gamma

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), "init_value": self.init_value}
