"""Reads LiteRT files: the operations in them, and what they compute."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.graph.quiet import captured_noise
from keras_ctxseg.export.static_file import FileMetadata


def litert_operations(path: str | Path) -> list[str]:
    """The operations of a LiteRT file, sorted, each once.

    Builtin ones by their name in the schema (`CONV_2D`), all others as `custom:NAME`; TensorFlow
    operations that need the Flex delegate show as `custom:FlexNAME`.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name[0] != "_"}
    model = schema.Model.GetRootAsModel(Path(path).read_bytes(), 0)
    operations = set()
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        # Files of before 2020 keep the code in the older, narrower field.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == schema.BuiltinOperator.CUSTOM:
            operations.add(f"custom:{(code.CustomCode() or b'?').decode()}")
        else:
            operations.add(names[builtin])
    return sorted(operations)


class LitertFile:
    """A loaded file with one input `images` and an output `logits` or `labels`; see `StaticFile`.

    Args:
        path: the file.
        threads: that it computes with; by default LiteRT's own choice.

    Raises:
        ExportError: the file cannot be loaded, or has other inputs or outputs.
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        from ai_edge_litert.interpreter import Interpreter

        self.path = Path(path)
        try:
            with captured_noise():
                # Read here, so that a missing file is an ordinary error of the operating system.
                interpreter = Interpreter(model_content=self.path.read_bytes(), num_threads=threads)
                self._segment = interpreter.get_signature_runner()
        except (OSError, ValueError, RuntimeError) as error:
            raise ExportError(f"{path}: cannot be loaded as a LiteRT file: {error}") from error
        inputs, outputs = self._segment.get_input_details(), self._segment.get_output_details()
        known = [name for name in ("logits", "labels") if name in outputs]
        if list(inputs) != ["images"] or not known:
            raise ExportError(
                f"{path}: expected a LiteRT file with the input 'images' and an output 'logits' or"
                f" 'labels'. Found: inputs {sorted(inputs)}, outputs {sorted(outputs)}."
            )
        self.output = known[0]
        self._dtype = inputs["images"]["dtype"]
        _, height, width, _ = inputs["images"]["shape"]
        self.input_size = (int(height), int(width))

    @cached_property
    def metadata(self) -> FileMetadata | None:
        """What the file says about itself; None where it says nothing."""
        from keras_ctxseg.export.litert.metadata import read_metadata

        return read_metadata(self.path)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self._segment(images=image[np.newaxis].astype(self._dtype))[self.output][0]


def resized_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A uint8 image brought to a file's input size: bilinear, antialiased where it shrinks.

    Calibration, comparison and prediction all take this way.
    """
    import tensorflow as tf

    if image.shape[:2] == size:
        return image
    resized = tf.image.resize(image, size, antialias=True)
    return tf.cast(tf.round(resized), tf.uint8).numpy()
