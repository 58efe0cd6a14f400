"""YAML recipes: `base:` inheritance, `key=value` overrides, and the resolved file of a run.

Imports neither Keras nor TensorFlow.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from keras_ctxseg.runs.config import ConfigError, RunConfig
from keras_ctxseg.runs.config_schema import checked, construct, plain
from keras_ctxseg.runs.imports import anchored

_Schema = TypeVar("_Schema")


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, except that `1e-4` is a number and a key given twice is an error."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML follows, wants a dot and a signed exponent: it reads 1e-4 as a string.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


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
    path = Path(path)
    values = _read_with_bases(path, schema, ())
    for override in overrides:
        values = _merged(values, _nested(override, schema))
    return construct(_without_nulls(values), schema, str(path))


def parse_override(override: str) -> tuple[str, Any]:
    """`"a.b=1e-4"` as `("a.b", 0.0001)`.

    Raises:
        ConfigError: if there is no `=`, or what follows is not YAML.
    """
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"command line: expected key=value. Received: {override!r}")
    try:
        return key.strip(), yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"command line: {override!r} is not valid YAML: {_one_line(error)}"
        ) from None


def save_config(config: RunConfig, path: str | Path) -> None:
    """Writes the resolved configuration; `load_config` of the file gives an equal one."""
    text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
    Path(path).write_text("# The resolved configuration of this run.\n" + text, encoding="utf-8")


def _read_with_bases(path: Path, schema: type, above: tuple[Path, ...]) -> dict[str, Any]:
    resolved = path.resolve()
    if resolved in above:
        circle = " -> ".join(str(step) for step in (*above[above.index(resolved) :], resolved))
        raise ConfigError(f"{path}: `base` runs in a circle: {circle}")
    values = dict(_read(path))
    bases = values.pop("base", [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(
            f"{path}: `base`: expected a path or a list of paths. Received: {bases!r}"
        )
    own = checked(values, schema, str(path))
    if own.get("imports"):
        own["imports"] = tuple(anchored(name, path.parent) for name in own["imports"])
    merged: dict[str, Any] = {}
    for base in bases:
        base_path = path.parent / base
        if not base_path.is_file():
            raise ConfigError(f"{path}: `base`: there is no file {base_path}")
        merged = _merged(merged, _read_with_bases(base_path, schema, (*above, resolved)))
    return _merged(merged, own)


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {path}: {error}") from None
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: expected a mapping of keys. Received: {values!r}")
    return values


def _nested(override: str, schema: type) -> dict[str, Any]:
    key, value = parse_override(override)
    for part in reversed(key.split(".")):
        value = {part: value}
    return checked(value, schema, "command line")


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
