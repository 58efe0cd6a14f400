"""EncNet's context encoding module (arXiv 1803.08904, section 2 and figure 2)."""

import keras
from keras import ops

from keras_ctxseg.layers.batch_norm import BatchNorm
from keras_ctxseg.layers.conv_norm_act import ConvNormAct
from keras_ctxseg.layers.encoding import Encoding

_VARIANTS = ("released", "paper")


@keras.saving.register_keras_serializable("keras_ctxseg")
class EncodedSemantics(keras.layers.Layer):
    """One vector for the whole scene: what the encoding layer says, over all codewords.

        e = Σ_k φ(e_k)      (`"paper"`, section 2)
        e = 1/K Σ_k φ(e_k)  (`"released"`, e_k of features after a 1×1 conv-norm-act)

    where φ is BatchNormalization with one gamma and beta a codeword, then ReLU. Computed in
    float32 under every dtype policy.

    Args:
        num_codewords: K.
        variant: `"released"` (the authors' later code) or `"paper"`.
        momentum: Of the BatchNormalizations' moving averages.
        epsilon: Of the BatchNormalizations.

    Call arguments:
        inputs: `(batch, height, width, channels)`.

    Call returns:
        `(batch, channels)`, float32.
    """

    def __init__(
        self,
        num_codewords: int = 32,
        variant: str = "released",
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        **kwargs,
    ):
        if variant not in _VARIANTS:
            raise ValueError(f"`variant` must be one of {_VARIANTS}. Received: variant={variant!r}")
        super().__init__(**kwargs)
        self.num_codewords = num_codewords
        self.variant = variant
        self.momentum = momentum
        self.epsilon = epsilon
        self.encoding = Encoding(num_codewords, dtype=self.dtype_policy, name="encoding")
        self.norm = BatchNorm(
            momentum=momentum, epsilon=epsilon, dtype=self.encoding.result_dtype, name="bn"
        )
        self.project = None  # It keeps the input's channels, which are known in `build`.

    def build(self, input_shape):
        channels = input_shape[-1]
        if self.variant == "released":
            self.project = ConvNormAct(
                channels,
                momentum=self.momentum,
                epsilon=self.epsilon,
                dtype=self.dtype_policy,
                name="project",
            )
            self.project.build(input_shape)
        self.encoding.build(input_shape)
        self.norm.build((input_shape[0], 1, channels, self.num_codewords))

    def call(self, inputs, training=None):
        x = inputs if self.project is None else self.project(inputs, training=training)
        encoded = self.encoding(x, training=training)
        # Codewords become the feature axis of a map, so that each has its own statistics.
        by_codeword = ops.expand_dims(ops.transpose(encoded, (0, 2, 1)), 1)
        by_codeword = ops.relu(self.norm(by_codeword, training=training))
        pool = ops.mean if self.variant == "released" else ops.sum
        return pool(by_codeword, axis=(1, 3))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def compute_output_spec(self, inputs, training=None):
        shape = self.compute_output_shape(inputs.shape)
        return keras.KerasTensor(shape, dtype=self.encoding.result_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "num_codewords": self.num_codewords,
            "variant": self.variant,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable("keras_ctxseg")
class ContextEncoding(keras.layers.Layer):
    """Lets the scene as a whole say which feature channels count.

        γ = sigmoid(W e + b),   y = x·γ           (`"paper"`, section 2)
                                y = relu(x + x·γ)  (`"released"`)

    with e of `EncodedSemantics`. For 512 channels and 32 codewords the released form has 542,304
    parameters.

    Args:
        num_codewords: K; 32 in the paper's segmentation networks.
        variant: `"released"` (the authors' later code, mmsegmentation, PaddleSeg) or `"paper"`.
        momentum: Of the BatchNormalizations' moving averages.
        epsilon: Of the BatchNormalizations.

    Call arguments:
        inputs: Features x, `(batch, height, width, channels)`.

    Call returns:
        `(features, encoded)`: y, `(batch, height, width, channels)` in the compute dtype, and e,
        `(batch, channels)`, float32, from which a `Dense` layer can tell the classes that occur.

    Examples:
        >>> features, encoded = ContextEncoding(num_codewords=32)(keras.Input((60, 60, 512)))
        >>> presence_logits = keras.layers.Dense(21)(encoded)
    """

    def __init__(
        self,
        num_codewords: int = 32,
        variant: str = "released",
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.semantics = EncodedSemantics(
            num_codewords, variant, momentum, epsilon, dtype=self.dtype_policy, name="semantics"
        )
        self.gate: keras.layers.Dense  # It keeps the input's channels, which are known in `build`.

    def build(self, input_shape):
        self.semantics.build(input_shape)
        dtype = self.semantics.encoding.result_dtype
        self.gate = keras.layers.Dense(
            input_shape[-1], activation="sigmoid", dtype=dtype, name="gate"
        )
        self.gate.build((input_shape[0], input_shape[-1]))

    def call(self, inputs, training=None):
        encoded = self.semantics(inputs, training=training)
        gate = ops.cast(ops.expand_dims(self.gate(encoded), (1, 2)), inputs.dtype)
        gated = inputs * gate
        if self.semantics.variant == "released":
            gated = ops.relu(inputs + gated)
        return gated, encoded

    def compute_output_shape(self, input_shape):
        return tuple(input_shape), self.semantics.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs, training=None):
        features = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        return features, self.semantics.compute_output_spec(inputs)

    def get_config(self):
        config = self.semantics.get_config()
        return {
            **super().get_config(),
            **{key: config[key] for key in ("num_codewords", "variant", "momentum", "epsilon")},
        }
