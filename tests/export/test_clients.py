"""The clients of scripts/, asked to speak to servers that answer as TensorFlow Serving does."""

import base64
import http.server
import json
import subprocess
import sys
import threading
from concurrent import futures
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_ctxseg.export import ServingModule
from tests.export.encoded_files import encode
from tests.export.exporting import CLASS_NAMES, random_image

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def serving(model):
    return ServingModule(model, class_names=CLASS_NAMES)


@pytest.fixture
def images(tmp_path):
    (tmp_path / "good.png").write_bytes(encode(random_image(40, 52)))
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff and no more")
    return [tmp_path / "good.png", tmp_path / "bad.jpg"]


def check(client, serving, images, out):
    assert client.returncode == 1, client.stderr  # one image is refused
    assert "bad.jpg: this JPEG file is damaged" in client.stderr
    assert "good.png: 40x52, " in client.stdout
    expected = serving.segment_files(tf.constant([images[0].read_bytes()]))["labels"][0]
    np.testing.assert_array_equal(np.asarray(Image.open(out / "good_labels.png")), expected)
    assert Image.open(out / "good_overlay.png").size == (52, 40)


def run(script, server, images, out):
    return subprocess.run(
        [sys.executable, SCRIPTS / script, server, "tiny", *images, "--output", out],
        capture_output=True,
        text=True,
        check=False,
    )


def test_rest(serving, images, tmp_path):
    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(self.path)
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if len(requests) == 1:  # A server that is still loading.
                self.send_error(503)
                return
            files = [base64.b64decode(row["images"]["b64"]) for row in body["instances"]]
            outputs = serving.segment_files(tf.constant(files))
            rows = [
                {name: plain(value[index].numpy()) for name, value in outputs.items()}
                for index in range(len(files))
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"predictions": rows}).encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        client = run("serve_client_rest.py", address, images, tmp_path / "out")
        server.shutdown()
    assert requests == ["/v1/models/tiny:predict"] * 2
    check(client, serving, images, tmp_path / "out")


def plain(value):
    """As TensorFlow Serving writes a tensor in JSON."""
    if isinstance(value, bytes):
        return value.decode()
    if value.dtype == object:
        return [text.decode() for text in value]
    return value.tolist()


@pytest.mark.whole
def test_grpc(serving, images, tmp_path):
    grpc = pytest.importorskip("grpc")
    predict_pb2 = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802 - the service's name
            assert request.model_spec.name == "tiny"
            files = tf.constant(tf.make_ndarray(request.inputs["images"]), tf.string)
            outputs = serving.segment_files(files)
            response = predict_pb2.PredictResponse()
            for name in request.output_filter:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name].numpy()))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        address = f"127.0.0.1:{port}"
        client = run("serve_client_grpc.py", address, images, tmp_path / "out")
    finally:
        server.stop(None)
    check(client, serving, images, tmp_path / "out")
