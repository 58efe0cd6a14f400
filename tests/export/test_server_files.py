import json
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from keras_ctxseg.cli import main
from keras_ctxseg.export import ExportError, ServingModule, export_saved_model
from keras_ctxseg.export.saved_model import export as saved_model_file
from keras_ctxseg.export.saved_model.server_files import (
    read_pins,
    release,
    roll_back,
    write_server_files,
)
from keras_ctxseg.export.saved_model.warm_up import WARM_UP_FILE
from tests.export.encoded_files import encode
from tests.export.exporting import CLASS_NAMES, random_image
from tests.export.test_saved_model import passed_parity


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("served") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model_file, "check_parity", passed_parity)
        images = [random_image(40, 52), random_image(48, 36, seed=1)]
        facts = {"Mean IoU": "71.20 %"}
        return export_saved_model(
            model, directory, CLASS_NAMES, check_images=images, warm_up=3, facts=facts
        ).path


@pytest.fixture
def served(tmp_path):
    for version in ("1", "2", "10"):
        (tmp_path / "scenes" / version).mkdir(parents=True)
    (tmp_path / "scenes" / ".tmp-x").mkdir()
    (tmp_path / "other" / "4").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    return tmp_path


class TestModelsConfig:
    def test_it_parses_as_the_servers_own_message(self, served):
        parsed = server_config(write_server_files(served, "/models"))
        assert [(entry.name, entry.base_path) for entry in parsed] == [
            ("other", "/models/other"),
            ("scenes", "/models/scenes"),
        ]
        assert all(entry.model_platform == "tensorflow" for entry in parsed)
        assert all(entry.model_version_policy.latest.num_versions == 1 for entry in parsed)
        assert "prometheus_config" in (served / "monitoring.config").read_text()

    def test_versions_go_back_and_forth(self, served):
        write_server_files(served, "/srv/models")
        assert roll_back(served / "scenes") == 2
        assert roll_back(served / "scenes") == 1
        with pytest.raises(ExportError, match="there is no version before 1"):
            roll_back(served / "scenes")
        # Another export does not bring a withdrawn version back, and the place stays.
        other, scenes = server_config(write_server_files(served))
        assert list(scenes.model_version_policy.specific.versions) == [1]
        assert scenes.base_path == "/srv/models/scenes"
        assert other.model_version_policy.HasField("latest")
        assert release(served / "scenes") == 10
        _, scenes = server_config(served / "models.config")
        assert scenes.model_version_policy.HasField("latest")

    def test_any_name_of_a_folder(self, served):
        names = ["other", "scenes", 'quo"te', "back\\slash", "line\nend", "é  config {"]
        for name in names[2:]:
            (served / name / "1").mkdir(parents=True)
            (served / name / "2").mkdir()
        parsed = server_config(write_server_files(served, "/mo'd\"els"))
        assert sorted(entry.name for entry in parsed) == sorted(names)
        assert {entry.base_path for entry in parsed} == {f"/mo'd\"els/{name}" for name in names}
        for name in names[2:]:
            roll_back(served / name)
        parsed = server_config(served / "models.config")
        assert {entry.base_path for entry in parsed} == {f"/mo'd\"els/{name}" for name in names}
        pinned = [e.name for e in parsed if e.model_version_policy.HasField("specific")]
        assert sorted(pinned) == sorted(names[2:])

    def test_a_pinned_version_that_is_gone(self, served):
        write_server_files(served)
        roll_back(served / "scenes")
        (served / "scenes" / "2").rmdir()
        with pytest.warns(UserWarning, match="version 2, which was rolled back to, is gone; 10 is"):
            _, scenes = server_config(write_server_files(served))
        assert scenes.model_version_policy.HasField("latest")

    def test_calls_at_one_time_take_turns(self, served):
        for index in range(8):
            (served / f"model_{index}" / "1").mkdir(parents=True)
            (served / f"model_{index}" / "2").mkdir()
        with futures.ThreadPoolExecutor(8) as pool:
            calls = [
                pool.submit(roll_back, served / f"model_{k % 8}", 1 + k // 8 % 2) for k in range(32)
            ]
            assert [call.result() for call in calls] == [1 + k // 8 % 2 for k in range(32)]
        assert set(read_pins(served)) == {f"model_{index}" for index in range(8)}
        assert not list(served.glob(".tmp-*"))

    def test_the_command_line(self, served, capsys):
        assert main(["export", str(served / "scenes"), "--roll-back"]) == 0
        assert "version 2 is served" in capsys.readouterr().out
        assert main(["export", str(served / "scenes"), "--roll-back", "10"]) == 0
        assert main(["export", str(served / "scenes"), "--roll-back", "5"]) == 2
        assert "there is no version 5; there are [1, 2, 10]" in capsys.readouterr().err
        assert main(["export", str(served / "scenes"), "--serve-latest"]) == 0
        assert main(["export", str(served / "empty"), "--serve-latest"]) == 2
        assert "expected a folder of exported versions" in capsys.readouterr().err


def server_config(path):
    config = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    return text_format.Parse(path.read_text(), config.ModelServerConfig()).model_config_list.config


def test_warm_up_requests_run_as_the_server_runs_them(exported):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = list(tf.data.TFRecordDataset(str(exported / WARM_UP_FILE)).as_numpy_iterator())
    assert len(records) == 3
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    sizes = []
    for record in records:
        request = logs.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == "tiny"
        assert request.model_spec.signature_name == "serving_default"
        answer = serve(images=tf.constant(tf.make_ndarray(request.inputs["images"]), tf.string))
        assert answer["errors"].numpy().tolist() == [b""]
        sizes.append(answer["sizes"][0].numpy().tolist())
    assert sizes == [[40, 52], [48, 36], [40, 52]]


def test_request_and_response_survive_the_wire(model):
    predict = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    files = [encode(random_image(40, 52)), b"broken"]
    request = predict.PredictRequest()
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(files))
    sent = predict.PredictRequest.FromString(request.SerializeToString())
    serving = ServingModule(model, class_names=CLASS_NAMES)
    outputs = serving.segment_files(tf.constant(tf.make_ndarray(sent.inputs["images"]), tf.string))
    response = predict.PredictResponse()
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    received = predict.PredictResponse.FromString(response.SerializeToString())
    for name, value in outputs.items():
        got = tf.make_ndarray(received.outputs[name])
        np.testing.assert_array_equal(got, value.numpy(), name)
        # TensorFlow Serving's rows, and its batching, need the batch first in every output.
        assert got.shape[0] == 2
    # Only outputs whose names end in `_bytes` are encoded for REST: these have to be plain text.
    json.dumps([text.decode() for text in outputs["errors"].numpy()])


def test_the_card_tells_what_it_is(exported):
    card = (exported / "assets.extra" / "model_card.md").read_text()
    assert card.startswith("# tiny, version 1\n")
    for part in ("5 classes: sky, road, boat", "Mean IoU: 71.20 %", "`serving_default`", "float32"):
        assert part in card
    assert "| SavedModel | 2 |" in card


def test_what_is_in_the_way_of_writing(served, monkeypatch):
    (served / "models.config").mkdir()
    with pytest.raises(ExportError, match="cannot write .*models.config"):
        write_server_files(served)
    assert not list(served.glob(".tmp-*"))
