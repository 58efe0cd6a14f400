"""YAML recipes: `base:` inheritance, `key=value` overrides, and the resolved file of a run.

Imports neither Keras nor TensorFlow.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from keras_ctxseg._text import is_clean, shown
from keras_ctxseg._yaml import MAX_BYTES, MAX_DEPTH, YamlError, parse
from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_schema import Places, checked, construct, plain
from keras_ctxseg.runs.imports import anchored

MAX_BASES = 64

_Schema = TypeVar("_Schema")


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> RunConfig:
    """Reads a recipe.

    Args:
        path: a YAML file; its `base:` (a path relative to the file, or a list of them) is read
            first and the file's own keys go on top, section by section. `null` unsets what is
            inherited: the key's default applies, an option is not given.
        overrides: `dotted.key=value`, values as YAML; they win over the files.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: names the file (or the command line), the key, what was expected and what was
            found.
    """
    return load_typed(path, RunConfig, overrides)


def load_typed(path: str | Path, schema: type[_Schema], overrides: Iterable[str] = ()) -> _Schema:
    """As `load_config`, of a file whose keys are the fields of another dataclass."""
    values, places = _Files(schema).read(Path(path), ())
    for override in overrides:
        own, own_places = _nested(override, schema)
        values = _merged(values, own)
        places = dataclasses.replace(places, known=places.overridden(own_places).known)
    return construct(_without_nulls(values), schema, places)


def parse_override(override: str) -> tuple[str, Any]:
    """`"a.b=1e-4"` as `("a.b", 0.0001)`.

    Raises:
        ConfigError: if there is no `=`, or what follows is not YAML.
    """
    key, value, _ = _parsed(override)
    return key, value


def save_config(config: RunConfig, path: str | Path) -> None:
    """Writes the resolved configuration; `load_config` of the file gives an equal one."""
    text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
    Path(path).write_text("# The resolved configuration of this run.\n" + text, encoding="utf-8")


class _Files:
    """Reads a file and those that it names as `base`, each as often as it is named."""

    def __init__(self, schema: type):
        self.schema = schema
        self.count = 0

    def read(self, path: Path, above: tuple[str, ...]) -> tuple[dict[str, Any], Places]:
        """The merged values, and where each was set.

        Args:
            path: the file.
            above: the files, by real path, that it is a base of.
        """
        real = os.path.realpath(path)
        if real in above:
            circle = " -> ".join((*above[above.index(real) :], real))
            raise ConfigError(f"{path}: `base` runs in a circle: {circle}")
        self.count += 1
        if self.count > MAX_BASES:
            raise ConfigError(
                f"{path}: `base`: expected at most {MAX_BASES} files in all, each counted as often "
                f"as it is a base. Found: more"
            )
        values, lines = _read(path)
        bases = values.pop("base", [])
        bases = [bases] if isinstance(bases, str) else bases
        places = Places(str(path), {key: f"{path}:{line}" for key, line in lines.items()})
        if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
            raise ConfigError(
                f"{places.of('base')}: `base`: expected a path or a list of paths. "
                f"Received: {shown(bases)}"
            )
        own = checked(values, self.schema, places)
        if own.get("imports"):
            own["imports"] = tuple(anchored(name, path.parent) for name in own["imports"])
        merged: dict[str, Any] = {}
        below = Places(str(path))
        for base in bases:
            base_path = path.parent / base
            if not os.path.isfile(base_path):
                raise ConfigError(
                    f"{places.of('base')}: `base`: there is no file {shown(str(base_path))}"
                )
            found, found_places = self.read(base_path, (*above, real))
            merged = _merged(merged, found)
            below = below.overridden(found_places)
        return _merged(merged, own), below.overridden(places)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from None
    try:
        values, lines = parse(text)
    except YamlError as error:
        place = str(path) if error.line is None else f"{path}:{error.line}"
        raise ConfigError(f"{place}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys. Received: {shown(values)}")
    return values, lines


def _parsed(override: str) -> tuple[str, Any, dict[str, int]]:
    key, separator, text = override.partition("=")
    key = key.strip()
    if not separator or not key or not is_clean(key) or key.count(".") >= MAX_DEPTH:
        raise ConfigError(f"command line: expected key=value. Received: {shown(override)}")
    try:
        return (key, *parse(text, key))
    except YamlError as error:
        place = "command line" if error.key else f"command line: {shown(override)}"
        raise ConfigError(f"{place}: {error}") from None


def _nested(override: str, schema: type) -> tuple[dict[str, Any], Places]:
    key, value, lines = _parsed(override)
    places = Places("command line", dict.fromkeys([key, *lines], "command line"))
    for part in reversed(key.split(".")):
        value = {part: value}
    return checked(value, schema, places), places


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result


def _without_nulls(values: Any) -> Any:
    """`values` without the keys that are null, which stand for a default."""
    if isinstance(values, Mapping):
        return {key: _without_nulls(value) for key, value in values.items() if value is not None}
    if isinstance(values, (list, tuple)):
        return type(values)(_without_nulls(value) for value in values)
    return values
