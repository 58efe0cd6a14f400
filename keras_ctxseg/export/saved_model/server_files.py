"""What TensorFlow Serving reads beside the model: which models, which versions, what it reports."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_ctxseg.export.errors import ExportError
from keras_ctxseg.export.publishing.publish import directory_lock, published_versions

MODELS_CONFIG = "models.config"
MONITORING_CONFIG = "monitoring.config"

_MODEL = """\
  config {{
    name: {name}
    base_path: {base_path}
    model_platform: "tensorflow"
    model_version_policy {{ {policy} }}
  }}
"""
# A string of protobuf's text format, as `_quoted` writes it.
_STRING = r'"((?:[^"\\]|\\.)*)"'

_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""


def write_server_files(
    directory: str | Path, base_path: str | None = None, pinned: dict[str, int] | None = None
) -> Path:
    """Writes `models.config` and `monitoring.config` for all the models under a directory.

    TensorFlow Serving reads the first anew while it runs (`--model_config_file_poll_wait_seconds`),
    so a changed version policy takes effect without a restart. A version that was pinned stays so,
    unless it is gone: then the latest is served again, with a warning. Concurrent calls take turns.

    Args:
        directory: the folder that holds `<name>/<version>/`.
        base_path: where the server sees that folder; as it was, or `/models`, where missing.
        pinned: versions to serve by model instead of the latest; 0 releases a model again.

    Returns:
        The path of `models.config`.

    Raises:
        ExportError: a version in `pinned` that is not there, or files that cannot be written.
    """
    directory = Path(directory)
    with _turn(directory):
        return _write(directory, base_path, pinned or {})


def _write(directory: Path, base_path: str | None, pinned: dict[str, int]) -> Path:
    base_path = base_path or _base_path(directory)
    pins = {**read_pins(directory), **pinned}
    entries = []
    for model in sorted(path for path in directory.iterdir() if path.is_dir()):
        versions = published_versions(model)
        if not versions:
            continue
        pin = pins.get(model.name, 0)
        if pin and pin not in versions:
            if model.name in pinned:
                raise ExportError(f"{model}: there is no version {pin}; there are {versions}.")
            warnings.warn(
                f"{model}: version {pin}, which was rolled back to, is gone;"
                f" {versions[-1]} is served from now on.",
                stacklevel=3,
            )
            pin = 0
        entries.append(
            _MODEL.format(
                name=_quoted(model.name),
                base_path=_quoted(f"{base_path}/{model.name}"),
                policy=_policy(pin),
            )
        )
    _replace(directory / MODELS_CONFIG, "model_config_list {\n" + "".join(entries) + "}\n")
    _replace(directory / MONITORING_CONFIG, _MONITORING)
    return directory / MODELS_CONFIG


def roll_back(model_directory: str | Path, version: int | None = None) -> int:
    """Lets the server go back to a version before the one that it serves; nothing is deleted.

    Args:
        model_directory: `<directory>/<name>`.
        version: the one to serve; by default the one before the one served now.

    Returns:
        The version that is served from now on.

    Raises:
        ExportError: there is no such version, or none before.
    """
    model_directory = Path(model_directory)
    versions = published_versions(model_directory)
    if not versions:
        raise ExportError(f"{model_directory}: expected a folder of exported versions.")
    with _turn(model_directory.parent):
        if version is None:
            pins = read_pins(model_directory.parent)
            served = pins.get(model_directory.name) or versions[-1]
            earlier = [number for number in versions if number < served]
            if not earlier:
                raise ExportError(
                    f"{model_directory}: there is no version before {served}, which is served."
                )
            version = earlier[-1]
        _write(model_directory.parent, None, {model_directory.name: version})
    return version


def release(model_directory: str | Path) -> int:
    """Undoes `roll_back`: the latest version is served, now and after each export."""
    model_directory = Path(model_directory)
    versions = published_versions(model_directory)
    if not versions:
        raise ExportError(f"{model_directory}: expected a folder of exported versions.")
    write_server_files(model_directory.parent, pinned={model_directory.name: 0})
    return versions[-1]


def read_pins(directory: Path) -> dict[str, int]:
    """The versions that `models.config` names, by model; empty where it lets the latest be served.

    Read as this module writes it.
    """
    pins = {}
    for entry in _entries(directory):
        name = re.search(rf"^ *name: {_STRING}$", entry, re.M)
        version = re.search(r"\bversions: (\d+) }", entry)
        if name and version:
            pins[_unquoted(name[1])] = int(version[1])
    return pins


def _base_path(directory: Path) -> str:
    for entry in _entries(directory):
        found = re.search(rf"^ *base_path: {_STRING}$", entry, re.M)
        if found:
            return _unquoted(found[1]).rpartition("/")[0]
    return "/models"


def _entries(directory: Path) -> Sequence[str]:
    path = directory / MODELS_CONFIG
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8").split("\n  config {\n")[1:]


def _policy(pin: int) -> str:
    return f"specific {{ versions: {pin} }}" if pin else "latest { num_versions: 1 }"


def _quoted(text: str) -> str:
    """A string of protobuf's text format. Names of folders may hold quotes, even line ends."""
    return '"' + re.sub(r'[\\"\x00-\x1f]', lambda found: f"\\{ord(found[0]):03o}", text) + '"'


def _unquoted(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


@contextlib.contextmanager
def _turn(directory: Path) -> Iterator[None]:
    """One writer at a time, from reading the old files to writing the new ones."""
    try:
        with directory_lock(directory):
            yield
    except OSError as error:
        raise ExportError(f"cannot write to {directory}: {error.strerror}.") from error


def _replace(path: Path, text: str) -> None:
    # Whole or not at all: the server may read it at any moment.
    partial = path.with_name(f".tmp-{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ExportError(f"cannot write {path}: {error.strerror}.") from error
