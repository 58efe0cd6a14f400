"""Installed versions against the ranges that this package and its dependencies declare."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from importlib import metadata

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
