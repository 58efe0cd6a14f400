"""The encoding layer (Deep TEN, arXiv 1612.02844; EncNet, arXiv 1803.08904, section 2)."""

import math

import keras
from keras import ops


def encode(features, codewords, scale):
    """Adds up each codeword's residuals over all features, weighted by how near they are.

        r_ik = x_i − d_k,   a_ik = softmax over k of (σ_k ‖r_ik‖²),   e_k = Σ_i a_ik r_ik

    The residuals, `(batch, N, K, channels)`, never come into being: with ‖r‖² = ‖x‖² − 2 x·d + ‖d‖²
    the assignment is one matrix product, and e = AᵀX − diag(Σ_i a_ik) D another. ‖x‖² stays in, as
    it does not cancel where the σ_k differ.

    Args:
        features: x, `(batch, N, channels)`.
        codewords: d, `(K, channels)`.
        scale: σ, `(K,)`: the paper's smoothing factors negated, σ_k = −s_k.

    Returns:
        e, `(batch, K, channels)`, in the dtype of the arguments: float32 at least, please.
    """
    # Residuals stay as they are when everything moves together, and near 0 the expanded square
    # loses no digits to an offset that all features and codewords share.
    centre = ops.stop_gradient(ops.mean(codewords, axis=0))
    features, codewords = features - centre, codewords - centre
    distances = (
        ops.sum(ops.square(features), axis=-1, keepdims=True)
        - 2.0 * ops.matmul(features, ops.transpose(codewords))
        + ops.sum(ops.square(codewords), axis=-1)
    )
    assignment = _softmax(scale * distances)
    gathered = ops.matmul(ops.transpose(assignment, (0, 2, 1)), features)
    return gathered - ops.expand_dims(ops.sum(assignment, axis=1), -1) * codewords


def _softmax(logits):
    # `ops.softmax` warns about a single codeword.
    exponentials = ops.exp(logits - ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True)))
    return exponentials / ops.sum(exponentials, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("keras_ctxseg")
class Encoding(keras.layers.Layer):
    """A learned codebook and, for each codeword, the residuals of the features that are near it.

        e_k = Σ_i a_ik (x_i − d_k),   a_ik = softmax over k of (−s_k ‖x_i − d_k‖²)

    (EncNet, section 2, equation 1.) Weights: `codewords` d, `(K, channels)`, from the uniform
    distribution on ±1/√(K·channels), and `scale` σ = −s, `(K,)`, from that on (−1, 0).

    It computes in float32 under every dtype policy (in float64 under that one), and returns that:
    sums over thousands of pixels are beyond half precision. See `encode` for how it does without
    the `(batch, N, K, channels)` residuals.

    Args:
        num_codewords: K.
        resample_scale: Whether σ is no weight, but drawn anew for each training batch, uniform in
            (−1, 0), and −0.5 at inference: the regularisation of the paper's CIFAR-10 network.
        seed: Of these draws.

    Call arguments:
        features: `(batch, height, width, channels)` or `(batch, N, channels)`.

    Call returns:
        `(batch, num_codewords, channels)`, float32.

    Examples:
        >>> keras.layers.Flatten()(Encoding(num_codewords=32)(keras.Input((None, None, 64)))).shape
        (None, 2048)
    """

    def __init__(
        self, num_codewords: int, resample_scale: bool = False, seed: int | None = None, **kwargs
    ):
        if not isinstance(num_codewords, int) or num_codewords < 1:
            raise ValueError(
                "`num_codewords` must be an integer of at least 1. "
                f"Received: num_codewords={num_codewords!r}"
            )
        if seed is not None and not resample_scale:
            raise ValueError(
                f"`seed` needs `resample_scale=True`; nothing else is drawn. Received: seed={seed}"
            )
        # Features are taken in the precision that they come in; weights, below, are read in theirs.
        super().__init__(autocast=False, **kwargs)
        self.num_codewords = num_codewords
        self.resample_scale = resample_scale
        self.seed = seed
        if resample_scale:
            self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def result_dtype(self) -> str:
        """What it computes in and returns."""
        return keras.backend.result_type(self.variable_dtype, "float32")

    def build(self, input_shape):
        if len(input_shape) not in (3, 4) or input_shape[-1] is None:
            raise ValueError(
                "`features` must be (batch, height, width, channels) or (batch, N, channels) with "
                f"a known number of channels. Received: shape {tuple(input_shape)}"
            )
        channels = input_shape[-1]
        bound = 1.0 / math.sqrt(self.num_codewords * channels)
        self.codewords = self.add_weight(
            shape=(self.num_codewords, channels),
            initializer=keras.initializers.RandomUniform(-bound, bound),
            autocast=False,
            name="codewords",
        )
        if not self.resample_scale:
            self.scale = self.add_weight(
                shape=(self.num_codewords,),
                initializer=keras.initializers.RandomUniform(-1.0, 0.0),
                autocast=False,
                name="scale",
            )

    def call(self, features, training=None):
        if len(features.shape) == 4:
            features = ops.reshape(features, (ops.shape(features)[0], -1, features.shape[-1]))
        dtype = self.result_dtype
        return encode(
            ops.cast(features, dtype),
            ops.cast(self.codewords, dtype),
            ops.cast(self._current_scale(training), dtype),
        )

    def _current_scale(self, training):
        if not self.resample_scale:
            return self.scale
        if training:
            shape = (self.num_codewords,)
            return keras.random.uniform(shape, -1.0, 0.0, dtype="float32", seed=self.seed_generator)
        return ops.full((self.num_codewords,), -0.5, dtype="float32")

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_codewords, input_shape[-1])

    def compute_output_spec(self, features, training=None):
        shape = self.compute_output_shape(features.shape)
        return keras.KerasTensor(shape, dtype=self.result_dtype)

    def get_config(self):
        config = super().get_config()
        config.pop("autocast", None)
        return {
            **config,
            "num_codewords": self.num_codewords,
            "resample_scale": self.resample_scale,
            "seed": self.seed,
        }
