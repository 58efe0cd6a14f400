"""Checks versions, and variables and settings that change what Keras and TensorFlow do."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from keras_ctxseg._version import __version__
from keras_ctxseg.doctor.finding import Finding, State

PACKAGE = "keras_ctxseg"
# Out of range these break: private functions of Keras are overridden, and TensorFlow's files and
# programs of another version may not load.
_STRICT = {"keras", "tensorflow", "numpy"}
# Two of these in one environment overwrite each other's files.
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly", "intel-tensorflow")
# Published in step with TensorFlow.
_IN_STEP = ("tf-models-official", "tf_keras", "tensorflow-text")


def version_of(package: str) -> str | None:
    """The installed version, None where the package is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def examine_versions(
    version: Callable[[str], str | None] = version_of,
    requirements: Callable[[str], list[str] | None] = metadata.requires,
) -> Iterator[Finding]:
    """Python, this package and each of its dependencies, and what those ask of each other.

    Args:
        version: gives a package's installed version.
        requirements: gives what a package declares, as `importlib.metadata.requires`.
    """
    yield _python()
    try:
        declared = [Requirement(text) for text in requirements(PACKAGE) or []]
    except metadata.PackageNotFoundError:
        yield Finding(
            "versions", PACKAGE, "warning", f"{__version__}, not installed",
            "install it with `pip install -e .`, so that its dependencies come with it",
        )  # fmt: skip
        declared = []
    else:
        yield Finding("versions", PACKAGE, "ok", __version__)
    for requirement in declared:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _against_range(requirement, version(requirement.name))
    yield from _tensorflows(version)
    yield from _among_each_other([each.name for each in declared], version, requirements)


def _python() -> Finding:
    found = platform.python_version()
    try:
        wanted = metadata.metadata(PACKAGE)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        wanted = ""
    if SpecifierSet(wanted).contains(found, prereleases=True):
        return Finding("versions", "Python", "ok", found)
    return Finding(
        "versions", "Python", "broken", f"{found}, declared: {wanted}",
        "make the environment with a Python in that range",
    )  # fmt: skip


def _against_range(requirement: Requirement, found: str | None) -> Finding:
    name, wanted = requirement.name, requirement.specifier
    install = f"`pip install '{name}{wanted}'`, or `pip install -c constraints.txt {name}`"
    if found is None:
        return Finding("versions", name, "broken", f"missing, declared: {wanted}", install)
    if wanted.contains(found, prereleases=True):
        return Finding("versions", name, "ok", found)
    state: State = "broken" if name in _STRICT else "warning"
    return Finding("versions", name, state, f"{found}, declared: {wanted}", install)


def _tensorflows(version: Callable[[str], str | None]) -> Iterator[Finding]:
    found = {name: version(name) for name in _TENSORFLOWS}
    present = [f"{name} {each}" for name, each in found.items() if each is not None]
    if len(present) > 1:
        yield Finding(
            "versions", "TensorFlow twice", "broken", ", ".join(present),
            "these share one folder: uninstall all of them, then install tensorflow alone",
        )  # fmt: skip
    tensorflow = found["tensorflow"]
    for name in _IN_STEP:
        other = version(name)
        if tensorflow and other and other.split(".")[:2] != tensorflow.split(".")[:2]:
            yield Finding(
                "versions", f"{name} in step", "warning", f"{other} with tensorflow {tensorflow}",
                f"install {name} {'.'.join(tensorflow.split('.')[:2])}.*",
            )  # fmt: skip


def _among_each_other(names, version, requirements) -> Iterator[Finding]:
    for name in names:
        if version(name) is None:
            continue
        for text in requirements(name) or []:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            found, wanted = version(requirement.name), requirement.specifier
            if found is None:
                found = "missing"
            elif wanted.contains(found, prereleases=True):
                continue
            yield Finding(
                "versions", f"{name} needs", "warning", f"{requirement.name}{wanted}: {found}",
                f"`pip install '{requirement.name}{wanted}'`",
            )  # fmt: skip


_BACKENDS = ("tensorflow", "jax", "torch", "openvino")


def examine_environment(
    variables: Mapping[str, str] = os.environ, home: Path | None = None
) -> Iterator[Finding]:
    """Backend, Keras' settings, legacy Keras, XLA.

    Args:
        variables: the environment.
        home: folder of `keras.json`; `$KERAS_HOME` or `~/.keras` where not given.
    """
    home = home or Path(variables.get("KERAS_HOME", "~/.keras")).expanduser()
    settings = _keras_settings(home / "keras.json")
    if isinstance(settings, Finding):
        yield settings
        settings = {}
    backend = variables.get("KERAS_BACKEND") or settings.get("backend", "tensorflow")
    yield _backend(backend)
    yield from _keras_choices(settings, home / "keras.json")
    legacy = variables.get("TF_USE_LEGACY_KERAS", "")
    if legacy.lower() not in ("", "0", "false"):
        yield Finding(
            "environment", "TF_USE_LEGACY_KERAS", "warning", legacy,
            "tf.keras is then Keras 2, whose layers do not go into a model of this package: unset "
            "it, and import keras rather than tf.keras",
        )  # fmt: skip
    xla = variables.get("TF_XLA_FLAGS", "")
    if "auto_jit" in xla:
        yield Finding(
            "environment", "TF_XLA_FLAGS", "warning", xla,
            "XLA is several times slower than the plain graph on a CPU, and does not go with "
            "several replicas: unset it, and use training.jit_compile on a GPU or TPU",
        )  # fmt: skip
    yield from _cluster(variables)


def _backend(backend: str) -> Finding:
    if backend == "tensorflow":
        return Finding("environment", "Keras backend", "ok", backend)
    if backend in _BACKENDS:
        return Finding(
            "environment", "Keras backend", "warning", backend,
            "layers, models and losses run; data, training, evaluation and export need "
            "KERAS_BACKEND=tensorflow",
        )  # fmt: skip
    return Finding(
        "environment", "Keras backend", "broken", backend, "set KERAS_BACKEND=tensorflow"
    )


def _keras_settings(path: Path) -> dict | Finding:
    try:
        return dict(json.loads(path.read_text())) if path.is_file() else {}
    except (OSError, ValueError, TypeError) as error:
        return Finding(
            "environment", str(path), "warning", f"cannot be read: {error}",
            "delete it: Keras writes it anew",
        )  # fmt: skip


def _keras_choices(settings: Mapping, path: Path) -> Iterator[Finding]:
    wanted = {"image_data_format": "channels_last", "floatx": "float32"}
    for key, value in wanted.items():
        found = settings.get(key, value)
        if found != value:
            yield Finding(
                "environment", f"Keras' {key}", "broken", f"{found} in {path}",
                f'set "{key}": "{value}" there; a run\'s precision is training.precision',
            )  # fmt: skip


def _cluster(variables: Mapping[str, str]) -> Iterator[Finding]:
    text = variables.get("TF_CONFIG", "")
    if not text:
        return
    try:
        cluster = json.loads(text).get("cluster", {})
        workers = sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))
    except (ValueError, AttributeError, TypeError) as error:
        yield Finding(
            "environment", "TF_CONFIG", "broken", f"{text}: {error}",
            "unset it, or write it as docs/distributed.md says",
        )  # fmt: skip
        return
    yield Finding("environment", "TF_CONFIG", "ok", f"{workers} workers")
