"""Subjects in processes of their own, and what is made of their times."""

import dataclasses
import json

import pytest

import keras_ctxseg as ctx
from keras_ctxseg.benchmark import subject
from keras_ctxseg.benchmark.latency import Latency
from keras_ctxseg.benchmark.page import plot, rebuild
from keras_ctxseg.benchmark.results import caption, results, save, table
from keras_ctxseg.benchmark.side_by_side import Measurement, measure_side_by_side
from keras_ctxseg.benchmark.subject import Subject, peers_of

SMALL = {"width": 0.35, "filters": 8}


def small(form="keras", **options):
    return Subject(
        "ctxseg", form, "fcn_mobilenet_v2", {**SMALL, **options}, (65, 65), num_classes=3, batch=2
    )


@pytest.fixture
def found():
    def measured(form, *seconds, macs=3_000_000_000):
        facts = {"parameters": 7, "multiply_adds": macs, "multiply_adds_run": macs // 2,
                 "versions": {"tensorflow": "2"}}  # fmt: skip
        return Measurement(small(form), Latency(seconds), facts, memory=5 * 2**20)

    return results(
        [measured("saved_model", 0.03, 0.01, 0.02), measured("training", 0.04, 0.04, 0.04)],
        rate=4e11,
        command="ctxseg benchmark",
    )


@pytest.mark.parametrize(
    "forms", [("keras",), pytest.param(("keras", "training"), marks=pytest.mark.whole)], ids=str
)
def test_processes_take_turns_and_count_what_they_run(tmp_path, forms):
    measurements, rate = measure_side_by_side(
        [small(form) for form in forms], repeats=2, warmup=1, folder=tmp_path, progress=False
    )
    model = ctx.models.build("fcn_mobilenet_v2", 3, **SMALL)
    counted = ctx.benchmark.count_multiply_adds(lambda x, training: model(x)["logits"], (65, 65))
    for measurement in measurements:
        assert len(measurement.latency.seconds) == 2 and measurement.latency.minimum > 0
        assert measurement.facts["multiply_adds"] == counted.total
        assert measurement.facts["parameters"] == sum(
            weight.value.shape.num_elements() for weight in model.trainable_weights
        )
    ours, *training = measurements
    assert ours.share(rate) == counted.total / ours.latency.minimum / rate
    assert all(one.share(rate) is None for one in training)


@pytest.mark.whole
def test_what_cannot_be_built_is_said_in_one_line():
    broken = dataclasses.replace(small(), name="fcn_mobilenet_v3")
    with pytest.raises(ValueError, match="cannot measure fcn_mobilenet_v3 .*'fcn_mobilenet_v2'"):
        measure_side_by_side([broken], repeats=1, progress=False)


def test_imports_go_to_the_other_process(tmp_path):
    path = tmp_path / "my_family.py"
    path.write_text("first = 1")
    one = dataclasses.replace(small("saved_model"), imports=(str(path), "math"))
    assert Subject.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert small("saved_model").exported(tmp_path) != one.exported(tmp_path)
    # Of changed code, an export is made anew.
    before = one.exported(tmp_path)
    path.write_text("second = 2")
    assert before != one.exported(tmp_path)


def test_figures_of_a_table(found):
    first, training = found["subjects"]
    assert found["matrix_product_gflops"] == pytest.approx(800)
    assert first["share"] == pytest.approx(3e9 / 0.01 / 4e11)
    assert first["percentiles"] == pytest.approx({"50": 0.02, "90": 0.028, "99": 0.0298})
    assert (first["first_takes"], training["first_takes"]) == (1, pytest.approx(0.25))
    assert training["images_per_second"] == pytest.approx(2 / 0.04)
    line = table(found, markdown=True).splitlines()[2]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:] == [
        *("7", "3.0", "1.5", "10.0", "20.0", "28.0", "29.8", "100.00", "75%", "5", "1.000"),
    ]
    assert "800 GFLOP/s" in caption(found)


def test_percentiles_of_one_call():
    assert Latency((0.5,)).percentile(99) == 0.5


def test_a_page_is_filled_from_its_files(found, tmp_path):
    page = tmp_path / "speed.md"
    page.write_text("Before\n<!-- begin peers -->\nold\n<!-- end peers -->\nAfter\n")
    with pytest.raises(ValueError, match="there are no such measurements"):
        rebuild(page)
    save(found, tmp_path / "speed" / "peers.json")
    assert rebuild(page) == ["peers"]
    text = page.read_text()
    assert text.startswith("Before\n") and text.endswith("After\n") and "old" not in text
    assert table(found, markdown=True) in text and "(speed/peers.svg)" in text
    assert (tmp_path / "speed/peers.svg").stat().st_size > 1000
    assert rebuild(page) == ["peers"] and page.read_text() == text
    page.write_text("nothing")
    with pytest.raises(ValueError, match="expected blocks"):
        rebuild(page)


def test_a_picture_is_png_or_svg(found, tmp_path):
    with pytest.raises(ValueError, match="ends in .png or .svg. Received: .*plot.pdf"):
        plot(found, tmp_path / "plot.pdf")


def test_subjects_are_plain_data(tmp_path, monkeypatch):
    plain = small(rates=(6, 12))
    assert Subject.from_json(json.loads(json.dumps(plain.to_json()))) == plain
    assert plain.exported(tmp_path) is None
    saved = small("saved_model")
    assert saved.exported(tmp_path) == small("saved_model").exported(tmp_path)
    assert saved.exported(tmp_path) != small("saved_model", width=0.5).exported(tmp_path)
    before = saved.exported(tmp_path)
    monkeypatch.setattr("keras_ctxseg.benchmark.subject._code", lambda: "changed")
    assert saved.exported(tmp_path) != before
    with pytest.raises(ValueError, match="measured as .* Received: 'saved'. Did you mean"):
        small("saved")


def test_code_in_a_sub_folder_makes_another_export(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "__file__", str(tmp_path / "benchmark" / "subject.py"))
    path = tmp_path / "export" / "litert" / "convert.py"
    path.parent.mkdir(parents=True)
    digests = set()
    for content in ("one", "two"):
        path.write_text(content)
        digests.add(subject._code.__wrapped__())
    assert len(digests) == 2


def test_peers_take_over_stem_and_stride():
    ours = Subject("ctxseg", "saved_model", "ksac_resnet50", {"stem": "deep", "filters": 8})
    serving, network = peers_of(ours, "tf-models", {"output_stride": 8})
    assert serving.options == {"stem": "deep", "output_stride": 8} == network.options
    assert (serving.form, network.form) == ("saved_model", "network")
    (hub,) = peers_of(ours, "keras-hub", {})
    assert hub.options == {} and hub.size == ours.size
    assert peers_of(dataclasses.replace(ours, form="litert"), "tf-models", {}) == []
