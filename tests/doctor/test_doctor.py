"""What the doctor says of healthy and of broken installations."""

import json
import sys

import pytest

from keras_ctxseg.cli import main
from keras_ctxseg.doctor import Finding, as_json, as_table, examination, is_broken
from keras_ctxseg.doctor.installation import PACKAGE, examine_environment, examine_versions
from keras_ctxseg.doctor.machine import examine_machine

DECLARED = ["keras<3.16,>=3.15", "tensorflow<2.21,>=2.20", "pyyaml<7,>=6.0", 'ruff; extra == "dev"']
INSTALLED = {"keras": "3.15.1", "tensorflow": "2.20.0", "pyyaml": "6.0.3", "numpy": "2.1.0"}


def by_name(findings):
    return {finding.name: finding for finding in findings}


def versions(changes, requires=None):
    installed = {**INSTALLED, **changes}
    asked = {PACKAGE: DECLARED, **(requires or {})}
    return by_name(examine_versions(installed.get, lambda name: asked.get(name, [])))


def test_versions_in_range():
    found = versions({})
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found["keras"].found == "3.15.1"
    assert "ruff" not in found  # Only developers need it.


@pytest.mark.parametrize(
    ("changes", "name", "state", "text"),
    [
        ({"keras": "3.16.0"}, "keras", "broken", "3.16.0, declared: <3.16,>=3.15"),
        ({"keras": None}, "keras", "broken", "missing, declared: <3.16,>=3.15"),
        ({"pyyaml": "5.4"}, "pyyaml", "warning", "5.4, declared: <7,>=6.0"),
        ({"tensorflow-cpu": "2.19.0"}, "TensorFlow twice", "broken", "tensorflow-cpu 2.19.0"),
        ({"tf_keras": "2.18.0"}, "tf_keras in step", "warning", "2.18.0 with tensorflow 2.20.0"),
    ],
)
def test_versions_that_are_wrong(changes, name, state, text):
    finding = versions(changes)[name]
    assert finding.state == state
    assert text in finding.found
    assert finding.advice


def test_what_packages_ask_of_each_other():
    finding = versions({}, {"tensorflow": ["numpy>=2.2"]})["tensorflow needs"]
    assert (finding.state, finding.found) == ("warning", "numpy>=2.2: 2.1.0")


def environment(tmp_path, variables, settings=None):
    if settings is not None:
        (tmp_path / "keras.json").write_text(settings)
    return by_name(examine_environment(variables, tmp_path))


def test_a_plain_environment(tmp_path):
    assert [*environment(tmp_path, {})] == ["Keras backend"]
    assert environment(tmp_path, {})["Keras backend"].state == "ok"


@pytest.mark.parametrize(
    ("variables", "settings", "name", "state"),
    [
        ({"KERAS_BACKEND": "jax"}, None, "Keras backend", "warning"),
        ({}, '{"backend": "torch"}', "Keras backend", "warning"),
        ({"KERAS_BACKEND": "theano"}, None, "Keras backend", "broken"),
        ({"TF_USE_LEGACY_KERAS": "1"}, None, "TF_USE_LEGACY_KERAS", "warning"),
        ({"TF_XLA_FLAGS": "--tf_xla_auto_jit=2"}, None, "TF_XLA_FLAGS", "warning"),
        ({}, '{"image_data_format": "channels_first"}', "Keras' image_data_format", "broken"),
        ({}, '{"floatx": "float16"}', "Keras' floatx", "broken"),
        ({"TF_CONFIG": "{"}, None, "TF_CONFIG", "broken"),
    ],
)
def test_settings_that_are_wrong(tmp_path, variables, settings, name, state):
    finding = environment(tmp_path, variables, settings)[name]
    assert finding.state == state
    assert finding.advice


def test_settings_that_change_nothing(tmp_path):
    variables = {"TF_USE_LEGACY_KERAS": "0", "KERAS_BACKEND": "tensorflow"}
    found = environment(tmp_path, variables, '{"backend": "jax", "floatx": "float32"}')
    assert {finding.state for finding in found.values()} == {"ok"}


def test_a_broken_keras_json_is_named(tmp_path):
    finding = environment(tmp_path, {}, "{")[str(tmp_path / "keras.json")]
    assert finding.state == "warning" and "cannot be read" in finding.found


def machine(root, flags="avx avx2 fma", free_kib=8 << 20, **files):
    files = {
        "proc/cpuinfo": f"processor : 0\nmodel name : Fast One\nflags : sse {flags}\n",
        "proc/meminfo": f"MemTotal: {16 << 20} kB\nMemAvailable: {free_kib} kB\n",
        **files,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return by_name(examine_machine(root, root))


def test_a_good_machine(tmp_path):
    found = machine(tmp_path)
    assert found["processor"] == Finding("machine", "processor", "ok", "Fast One")
    assert found["memory"].found == "8.0 of 16.0 GiB free"


@pytest.mark.parametrize(
    ("flags", "state", "text"),
    [("", "broken", "without AVX"), ("avx avx2", "warning", "without fma")],
)
def test_a_processor_that_lacks_something(tmp_path, flags, state, text):
    finding = machine(tmp_path, flags)["processor"]
    assert finding.state == state and text in finding.found


def test_little_memory_and_a_container(tmp_path):
    assert machine(tmp_path, free_kib=1 << 20)["memory"].state == "warning"
    limits = {
        "sys/fs/cgroup/memory.max": str(3 << 30),
        "sys/fs/cgroup/memory.current": str(2 << 30),
        "sys/fs/cgroup/cpu.max": "50000 100000",
    }
    found = machine(tmp_path, **limits)
    assert (found["memory"].state, found["memory"].found) == ("warning", "1.0 of 3.0 GiB free")
    assert found["cores"].state == "warning"
    assert "TF_NUM_INTRAOP_THREADS=1" in found["cores"].advice


def test_a_folder_that_does_not_exist_yet_is_on_some_disk(tmp_path):
    found = by_name(examine_machine(folder=tmp_path / "not/yet"))
    assert f"free in {tmp_path}" in found["disk for runs"].found


def worker(tmp_path, monkeypatch, script):
    """The findings where the process at work runs `script` instead."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(examination.sys, "executable", str(program))
    return by_name(examination.examine_at_work())


def test_a_process_that_dies_is_a_finding(tmp_path, monkeypatch):
    script = (
        "import os, signal\n"
        """print('{"begin": "import"}\\n{"name": "import", "found": "x"}\\n{"begin": "build"}')\n"""
        "import sys; sys.stdout.flush()\n"
        "os.kill(os.getpid(), signal.SIGILL)"
    )
    found = worker(tmp_path, monkeypatch, script)
    assert found["import"].state == "ok"
    assert found["build"].state == "broken"
    assert "ended by SIGILL" in found["build"].found


def test_a_process_that_cannot_start_is_a_finding(tmp_path, monkeypatch):
    found = worker(tmp_path, monkeypatch, "raise SystemExit('no module keras')")
    assert found["start"].state == "broken"
    assert "ended with code 1: no module keras" in found["start"].found
    assert "constraints.txt" in found["start"].advice


def test_an_error_is_a_finding(tmp_path, monkeypatch):
    line = json.dumps({"name": "training step", "error": "RuntimeError: no weight has moved"})
    found = worker(tmp_path, monkeypatch, f"print({line!r})")
    assert found["training step"].state == "broken"
    assert "no weight has moved" in found["training step"].found


def test_table_and_json():
    findings = [
        Finding("versions", "keras", "ok", "3.15.1"),
        Finding("machine", "memory", "warning", "little", "smaller batches"),
    ]
    assert as_table(findings).splitlines() == [
        "Versions",
        "  ok       keras   3.15.1",
        "",
        "Machine",
        "  warning  memory  little",
        "                   -> smaller batches",
        "",
        "0 broken, 1 warnings",
    ]
    content = json.loads(as_json(findings))
    assert content["broken"] is False and is_broken(findings) is False
    assert content["findings"][1]["advice"] == "smaller batches"


def test_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(examination, "examine_versions", list)
    monkeypatch.setattr(examination, "examine_machine", lambda folder: [])
    assert main(["doctor", "--no-smoke"]) == 0
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    assert main(["doctor", "--no-smoke", "--json"]) == 1
    printed = capsys.readouterr().out
    assert json.loads(printed[printed.index("{") :])["broken"] is True


def test_this_installation_works(capsys):
    main(["doctor", "--json"])  # The versions may be others than declared; the work must be done.
    findings = json.loads(capsys.readouterr().out)["findings"]
    states = {each["name"]: each["state"] for each in findings if each["section"] == "smoke"}
    done = ["import", "devices", "build", "training step", "save and load"]
    assert {name: states.get(name) for name in done} == dict.fromkeys(done, "ok")
