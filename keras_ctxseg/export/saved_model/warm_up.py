"""Requests that TensorFlow Serving runs on a version before it serves it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_ctxseg.export.errors import ExportError

WARM_UP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# TensorFlow Serving refuses a file with more.
MOST_REQUESTS = 1000


def write_warm_up_requests(
    version_directory: Path,
    name: str,
    images: Sequence[np.ndarray],
    batch_sizes: Sequence[int],
    takes_files: bool = True,
) -> int:
    """Writes a TFRecord file of `PredictionLog` messages for `serving_default`.

    The first request to a graph optimises it, which takes seconds; a server that has warmed up
    answers its first user as fast as the rest. The requests are PNG and JPEG files by turns, or
    float images where they are not RGB.

    Args:
        version_directory: the SavedModel.
        name: the served model's, which the requests carry.
        images: uint8 (height, width, 3), or of other channels, of the sizes that are expected.
        batch_sizes: images a request; one request each.
        takes_files: whether the signature takes files, if the images are RGB.

    Returns:
        The number of requests.

    Raises:
        ExportError: the extra `serving` is not installed.
    """
    import tensorflow as tf

    if not has_serving_protos():
        raise ExportError(
            "warm-up requests need TensorFlow Serving's protos: pip install 'keras_ctxseg[serving]'"
        )
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    if takes_files and images[0].shape[-1] == 3:
        files = [_encoded(one, "JPEG" if index % 2 else "PNG") for index, one in enumerate(images)]

        def request_of(number: int, size: int):
            batch = [files[(number + index) % len(files)] for index in range(size)]
            return tf.make_tensor_proto(batch, tf.string, (size,))
    else:

        def request_of(number: int, size: int):
            image = images[number % len(images)]
            return tf.make_tensor_proto(np.stack([image] * size), tf.float32)

    path = Path(version_directory, WARM_UP_FILE)
    path.parent.mkdir(exist_ok=True)
    sizes = list(batch_sizes)[:MOST_REQUESTS]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, size in enumerate(sizes):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = "serving_default"
            request.inputs["images"].CopyFrom(request_of(number, size))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    return len(sizes)


def has_serving_protos() -> bool:
    """Whether `tensorflow-serving-api` is installed."""
    from importlib.util import find_spec

    return find_spec("tensorflow_serving") is not None


def _encoded(image: np.ndarray, file_format: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, file_format)
    return buffer.getvalue()
