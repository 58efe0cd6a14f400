"""The forms of a LiteRT file: what goes in and out, what stays in float, what is refused."""

import json
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from flatbuffers.table import Table

from keras_ctxseg.export import ExportError, export_litert, litert_operations
from keras_ctxseg.export.litert.convert import converted
from keras_ctxseg.export.litert.graph import LitertGraph
from keras_ctxseg.export.litert.quantize import candidates
from keras_ctxseg.export.litert.ranges import QUANTILE, with_ranges
from keras_ctxseg.export.litert.scores import with_scores
from keras_ctxseg.export.parity.check import synthetic_images
from tests.export.exporting import CLASS_NAMES, tiny_model

SIZE = (40, 56)
PALETTE = np.arange(15).reshape(5, 3) * 17


@pytest.fixture(scope="module")
def photos():
    return synthetic_images([SIZE] * 32, seed=5)


@pytest.fixture(scope="module")
def truths(model, photos):
    logits = model(np.float32(photos), training=False)["logits"]
    labels = np.asarray(logits).argmax(-1).astype("int32")
    labels[:, :4] = 255
    return list(labels)


@pytest.fixture(scope="module")
def files(model, photos, truths, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    return {
        form: export_litert(
            model,
            folder / f"{form}.tflite",
            SIZE,
            form=form,
            calibration_images=photos,
            check_images=photos[:8],
            check_labels=truths[:8],
            class_names=CLASS_NAMES,
            palette=PALETTE,
            ignore_label=254,
            force=True,  # The mean over classes of a few pixels each is no matter of rounding.
        )
        for form in ("fp16", "dynamic", "int8", "full_int8")
    }


@pytest.mark.parametrize(("form", "error"), [("fp16", 5e-3), ("dynamic", 0.05), ("int8", 0.05)])
def test_logits_are_kerass_to_the_forms_rounding(model, files, photos, form, error):
    runner = Interpreter(str(files[form].path)).get_signature_runner()
    found = np.concatenate([runner(images=np.float32(image[None]))["logits"] for image in photos])
    expected = np.asarray(model(np.float32(photos), training=False)["logits"])
    # Relative to the logits' own spread; steps of a range in 8 bits are 1/255 of it.
    assert np.sqrt(np.mean((found - expected) ** 2)) < error * expected.std()
    assert files[form].parity.images == 8


def test_fp16_differs_from_fp32_by_the_rounding_of_its_weights_alone(model, files, photos):
    graph = LitertGraph(converted(model, *SIZE))
    for tensor in graph.graph.tensors:
        buffer = graph.model.buffers[tensor.buffer]
        if tensor.type == schema.TensorType.FLOAT32 and buffer.data is not None:
            weights = np.frombuffer(bytes(buffer.data), np.float32)
            buffer.data = np.frombuffer(weights.astype(np.float16).astype(np.float32), np.uint8)
    logits = [
        Interpreter(model_content=content).get_signature_runner()(images=np.float32(photos[:1]))
        for content in (graph.packed(), files["fp16"].path.read_bytes())
    ]
    np.testing.assert_array_equal(logits[0]["logits"], logits[1]["logits"])


def test_full_int8_takes_bytes_and_gives_class_ids(files, photos, truths):
    runner = Interpreter(str(files["full_int8"].path)).get_signature_runner()
    details = runner.get_input_details()["images"]
    assert details["dtype"] == np.uint8
    assert details["quantization"] == (1.0, 0)  # a step is a step of the image
    labels = np.concatenate([runner(images=image[None])["labels"] for image in photos])
    assert labels.dtype == np.uint8
    assert labels.shape == (32, *SIZE)
    known = np.stack(truths) != 255
    agreement = (labels == np.stack(truths))[known].mean()
    assert agreement > 0.98
    report = files["full_int8"].parity
    assert report.max_softmax_difference is None
    assert report.label_agreement > 0.98
    assert report.keras_mean_iou == 1.0  # the truth is Keras' own, but for the ignored rows
    assert 0.8 < report.mean_iou < 1.0


def test_weights_are_of_the_forms_type_and_operations_builtin(files):
    types = {"fp16": schema.TensorType.FLOAT16, "int8": schema.TensorType.INT8}
    for form, kind in types.items():
        graph = LitertGraph(files[form].path.read_bytes())
        kernels = [t for t in graph.graph.tensors if len(t.shape) == 4 and t.shape[1] == 3]
        assert kind in {tensor.type for tensor in kernels}
    for export in files.values():
        assert not [name for name in litert_operations(export.path) if "custom" in name]


def test_ranges_are_the_upper_quartile_of_the_images_extremes(model, photos):
    graph = LitertGraph(with_ranges(converted(model, *SIZE), photos))
    tensors = graph.graph.tensors
    (result,) = graph.graph.outputs
    logits = np.asarray(model(np.float32(photos), training=False)["logits"])
    lows, highs = logits.min((1, 2, 3)), logits.max((1, 2, 3))
    np.testing.assert_allclose(
        tensors[result].quantization.min, [np.quantile(lows, 1 - QUANTILE)], rtol=1e-4
    )
    np.testing.assert_allclose(
        tensors[result].quantization.max, [np.quantile(highs, QUANTILE)], rtol=1e-4
    )
    (images,) = graph.graph.inputs
    assert (tensors[images].quantization.min, tensors[images].quantization.max) == ([0.0], [255.0])


def test_what_masks_a_softmax_does_not_widen_its_range():
    import keras

    images = keras.Input((None, None, 3))
    masked = keras.ops.where(images > 100.0, images, -3e4)
    logits = keras.layers.Conv2D(2, 1)(keras.ops.softmax(masked, axis=-1))
    model = keras.Model(images, {"logits": logits})
    photo = np.full((40, 40, 3), 90, np.uint8)
    photo[..., 0] = np.arange(1600).reshape(40, 40) % 100 + 101
    graph = LitertGraph(with_ranges(converted(model, 40, 40), [photo] * 4))
    (softmax,) = [
        op for op, kind in zip(graph.graph.operators, graph.kinds, strict=True) if kind == "SOFTMAX"
    ]
    quantization = graph.graph.tensors[softmax.inputs[0]].quantization
    assert quantization.max == [200.0]
    assert quantization.min == [0.0]  # 101 - 16, and zero is within every range


def test_the_last_steps_are_found(model):
    graph = LitertGraph(converted(model, *SIZE, "fp32", labels=True))
    assert [graph.kinds[k] for k in sorted(graph.scores())] == ["ARG_MAX", "CAST"]
    assert [graph.kinds[k] for k in sorted(graph.classifier())] == ["CONV_2D"]
    assert graph.around(["SOFTMAX"]) == set()


def test_packing_keeps_the_file_and_aligns_its_weights(model, photos):
    content = converted(model, *SIZE)
    packed = LitertGraph(content).packed()
    runs = [
        Interpreter(model_content=each).get_signature_runner()(images=np.float32(photos[:1]))
        for each in (content, packed)
    ]
    np.testing.assert_array_equal(runs[0]["logits"], runs[1]["logits"])
    for buffer in LitertGraph(packed).model.buffers:
        if buffer.data is not None and len(buffer.data) > 64:
            assert packed.index(buffer.data.tobytes()) % 16 == 0


def test_metadata_is_where_other_tools_look(files):
    path = files["int8"].path
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode().splitlines() == CLASS_NAMES
        details = json.loads(archive.read("keras_ctxseg.json"))
    assert details["palette"] == PALETTE.tolist()
    assert details["ignore_label"] == 254
    assert details["form"] == "int8"
    assert details["forced"] is (not files["int8"].parity.passed)
    assert details["parity"]["label_agreement"] == files["int8"].parity.label_agreement
    model = LitertGraph(path.read_bytes()).model
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    buffer = bytes(model.buffers[entry.buffer].data)
    assert buffer[4:8] == b"M001"
    assert b"labels.txt" in buffer


def field(table, slot):
    """Where a table's field lies; 0 where it has none."""
    offset = table.Offset(4 + 2 * slot)
    return table.Pos + offset if offset else 0


def tables(table, slot):
    """The tables in a vector, by the flatbuffer format alone, without a schema's code."""
    start = table.Vector(field(table, slot) - table.Pos)
    count = table.VectorLen(field(table, slot) - table.Pos)
    return [Table(table.Bytes, table.Indirect(start + 4 * k)) for k in range(count)]


def text(table, slot):
    return table.String(field(table, slot)).decode()


def sub(table, slot):
    return Table(table.Bytes, table.Indirect(field(table, slot)))


def floats(table, slot):
    start = table.Vector(field(table, slot) - table.Pos)
    count = table.VectorLen(field(table, slot) - table.Pos)
    return list(np.frombuffer(table.Bytes, np.float32, count, start))


def byte(table, slot):
    return table.Bytes[field(table, slot)]


@pytest.mark.parametrize(
    ("form", "outputs"), [("int8", ["logits"]), ("full_int8", ["labels", "scores"])]
)
def test_metadata_is_what_mediapipe_asks_for(files, form, outputs):
    """Slots and numbers as in metadata_schema.fbs and image_segmenter_metadata_schema.fbs."""
    model = LitertGraph(files[form].path.read_bytes()).model
    assert len(model.subgraphs) == 1
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    content = bytes(model.buffers[entry.buffer].data)
    (subgraph,) = tables(Table(content, int.from_bytes(content[:4], "little")), 3)
    (image,) = tables(subgraph, 2)
    assert byte(sub(image, 3), 0) == 2  # ImageProperties
    assert byte(sub(sub(image, 3), 1), 0) == 1  # RGB
    (unit,) = tables(image, 4)
    assert byte(unit, 0) == 1  # NormalizationOptions
    assert (floats(sub(unit, 1), 0), floats(sub(unit, 1), 1)) == ([0.0], [1.0])
    results = tables(subgraph, 3)
    assert [text(result, 0) for result in results] == outputs
    (labels,) = tables(results[-1], 6)
    assert (text(labels, 0), byte(labels, 2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS
    (custom,) = tables(subgraph, 9)
    assert text(custom, 0) == "SEGMENTER_METADATA"
    start = custom.Vector(field(custom, 1) - custom.Pos)
    options = content[start : start + custom.VectorLen(field(custom, 1) - custom.Pos)]
    assert options[4:8] == b"V001"
    assert byte(Table(options, int.from_bytes(options[:4], "little")), 0) == 2  # SOFTMAX
    (last,) = [model.subgraphs[0].tensors[t] for t in model.subgraphs[0].outputs[-1:]]
    assert list(last.shape) == [1, *SIZE, 5]


def test_scores_have_the_class_of_the_labels_at_the_top(model, photos):
    """Of float logits, and of integers: of the first whatever nearly ties."""
    content = converted(model, *SIZE, labels=True)
    whole = next(candidates(with_ranges(content, photos[:4]), uint8_images=True)).content
    for file, images in ((content, np.float32(photos[:4])), (whole, np.stack(photos[:4]))):
        runner = Interpreter(model_content=with_scores(file)).get_signature_runner()
        details = runner.get_output_details()["scores"]
        assert details["dtype"] == np.uint8
        scale, zero_point = details["quantization"]
        for image in images:
            result = runner(images=image[None])
            np.testing.assert_array_equal(result["scores"].argmax(-1), result["labels"])
            below = scale * (result["scores"] - np.float32(zero_point))
            below -= below.max(axis=-1, keepdims=True)
            if file is content:
                logits = np.asarray(model(image[None], training=False)["logits"])
                expected = np.maximum(logits - logits.max(-1, keepdims=True), -255 / 16)
                assert np.abs(below - expected).max() < 1.01 / 16
                assert (scale, zero_point) == (1 / 16, 255)
    with pytest.raises(ExportError, match="expected a file with one ARG_MAX. Found 0"):
        with_scores(converted(model, *SIZE))


def test_a_failed_comparison_is_written_by_force_only(model, photos, truths, tmp_path):
    path = tmp_path / "forced.tflite"
    wrong = [np.where(truth == 255, 255, (truth + 1) % 5) for truth in truths]
    noise = [np.random.default_rng(k).integers(0, 256, (*SIZE, 3), np.uint8) for k in range(4)]
    arguments = {
        "form": "full_int8",
        "calibration_images": [np.zeros((*SIZE, 3), np.uint8)] * 32,  # ranges of nothing
        "check_images": noise,
        "check_labels": wrong[:4],
    }
    with pytest.raises(ExportError, match="export refused: full_int8 DISAGREES"):
        export_litert(model, path, SIZE, **arguments)
    assert list(tmp_path.iterdir()) == []
    result = export_litert(model, path, SIZE, **arguments, force=True)
    assert not result.parity.passed
    card = (tmp_path / "forced.card.md").read_text()
    assert "Written by force" in card
    assert "| FAILED |" in card
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("keras_ctxseg.json"))["forced"] is True


def test_arguments_that_do_not_fit(model, photos, tmp_path):
    path = tmp_path / "x.tflite"
    with pytest.raises(ValueError, match="expected one of fp32.*Did you mean 'full_int8'"):
        export_litert(model, path, SIZE, form="fullint8")
    with pytest.raises(ValueError, match="calibration_images: expected at least one image"):
        export_litert(model, path, SIZE, form="int8")
    with pytest.raises(ValueError, match="at least 32 real images for the form 'int8'. Received 9"):
        export_litert(model, path, SIZE, form="int8", calibration_images=photos[:9])
    with pytest.raises(ValueError, match="class_names: expected 5 names.*Received 2"):
        export_litert(model, path, SIZE, class_names=["a", "b"])
    with pytest.raises(ValueError, match="label_maps: expected one for each of the 32 images"):
        export_litert(tiny_model(), path, SIZE, check_images=photos, check_labels=[])
    assert list(tmp_path.iterdir()) == []
