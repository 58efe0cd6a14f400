"""From a float32 LiteRT file to 8-bit integers, as far as the results bear it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.litert.graph import DELICATE, MISSCALED, LitertGraph


@dataclass(frozen=True)
class Candidate:
    """One way to quantise a file.

    Attributes:
        content: the file.
        in_float: what was left in float32, in words; empty if nothing.
    """

    content: bytes
    in_float: tuple[str, ...]


def candidates(content: bytes, uint8_images: bool) -> Iterator[Candidate]:
    """Quantised files, each with more of the network in float32 than the one before.

    First all is integer. Then the upsampling of the scores is not (at 8 bits neighbouring classes
    tie), then the classifier, then what stands around a softmax or a normalisation by variance,
    where a distance of hundreds decides by differences below one.

    Args:
        content: float32 file with ranges (`with_ranges`).
        uint8_images: whether the input is uint8 rather than float32.

    Raises:
        ExportError: the quantiser cannot.
    """
    graph = LitertGraph(content)
    steps = (
        ("upsampling of the scores", graph.scores()),
        ("classifier", graph.classifier()),
        ("attention and normalisation", graph.around(DELICATE)),
    )
    left: set[int] = {k for k, kind in enumerate(graph.kinds) if kind in MISSCALED}
    words: tuple[str, ...] = ()
    yield Candidate(_quantized(content, graph.result_names(sorted(left)), uint8_images), words)
    for word, operations in steps:
        if operations <= left:
            continue
        left |= operations
        words = (*words, word)
        yield Candidate(_quantized(content, graph.result_names(sorted(left)), uint8_images), words)


def _quantized(content: bytes, float_results: list[str], uint8_images: bool) -> bytes:
    import tensorflow as tf

    # The step that TFLiteConverter takes after its own calibration; the converter has no argument
    # for ranges or for what stays in float.
    from tensorflow.lite.python.convert import mlir_quantize

    with captured_noise():
        try:
            return mlir_quantize(
                content,
                fully_quantize=False,
                input_data_type=tf.uint8 if uint8_images else tf.float32,
                output_data_type=tf.float32,
                denylisted_nodes=[name.encode() for name in float_results] or None,
            )
        except Exception as error:  # the quantiser raises types of its own
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise ExportError(f"export refused: not to be quantised: {first}") from error
