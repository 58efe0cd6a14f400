"""Reads LiteRT files: the operations in them, and what they compute."""

from pathlib import Path

import numpy as np

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.quiet import captured_noise


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


def run_litert(path: Path, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Runs a LiteRT file on images, each resized to its input size.

    Args:
        path: file with one input (1, height, width, 3) and an output `logits`.
        images: uint8 (height, width, 3), of any sizes.

    Returns:
        For each image the uint8 image as it went in, and its logits (height, width, classes).

    Raises:
        ExportError: the file cannot be loaded.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    try:
        with captured_noise():
            # Read here, so that a missing file is an ordinary error of the operating system.
            interpreter = Interpreter(model_content=path.read_bytes())
            segment = interpreter.get_signature_runner()
    except (OSError, ValueError, RuntimeError) as error:
        raise ExportError(f"{path}: cannot be loaded as a LiteRT file: {error}") from error
    height, width = segment.get_input_details()["images"]["shape"][1:3]
    results = []
    for image in images:
        if image.shape[:2] != (height, width):
            resized = tf.image.resize(image, (height, width), antialias=True)
            image = tf.cast(tf.round(resized), tf.uint8).numpy()
        results.append((image, segment(images=image[np.newaxis].astype("float32"))["logits"][0]))
    return results
