"""Nested mappings against typed dataclasses: key and type errors that say what would be right."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from keras_ctxseg._naming import nearest
from keras_ctxseg.runs.config import ConfigError, RunConfig


def dotted_keys(schema: Any = RunConfig, prefix: str = "") -> list[str]:
    """Every key of the schema, sections included: `["name", "model", "model.name", ...]`."""
    keys = []
    for name, kind in get_type_hints(schema).items():
        keys.append(prefix + name)
        if dataclasses.is_dataclass(kind):
            keys.extend(dotted_keys(kind, f"{prefix}{name}."))
    return keys


def checked(values: Any, schema: Any, source: str, prefix: str = "") -> dict[str, Any]:
    """`values` with every leaf converted to its field's type; keys may be missing.

    Args:
        values: a mapping as YAML gives it.
        schema: the dataclass whose fields are the legal keys.
        source: what the message names, a file or "command line".
        prefix: dotted path of `values` inside the whole, with a final dot.

    Raises:
        ConfigError: on an unknown key or a value of another type.
    """
    if not isinstance(values, Mapping):
        section = prefix.rstrip(".") or "the file"
        raise ConfigError(
            f"{source}: `{section}`: expected a mapping of keys. Received: {values!r}"
        )
    kinds = get_type_hints(schema)
    result = {}
    for key, value in values.items():
        if key not in kinds:
            raise ConfigError(
                f"{source}: unknown key `{prefix}{key}`.{_suggest(str(key), schema, prefix)}"
            )
        if dataclasses.is_dataclass(kinds[key]):
            result[key] = checked(value, kinds[key], source, f"{prefix}{key}.")
        else:
            result[key] = _converted(value, kinds[key], f"{prefix}{key}", source)
    return result


def construct(values: Mapping[str, Any], schema: Any, source: str, prefix: str = "") -> Any:
    """The dataclass of already checked `values`; a key without a value or default is an error."""
    kinds = get_type_hints(schema)
    arguments = {}
    for spec in dataclasses.fields(schema):
        kind = kinds[spec.name]
        if spec.name in values:
            value = values[spec.name]
            arguments[spec.name] = (
                construct(value, kind, source, f"{prefix}{spec.name}.")
                if dataclasses.is_dataclass(kind)
                else value
            )
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            if dataclasses.is_dataclass(kind):  # Name the leaf that is missing, not the section.
                construct({}, kind, source, f"{prefix}{spec.name}.")
            raise ConfigError(
                f"{source}: `{prefix}{spec.name}` is missing. Expected {describe(kind)}."
            )
    try:
        return schema(**arguments)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None


def plain(config: Any) -> Any:
    """A dataclass as what YAML can write: dicts, lists and scalars."""
    if dataclasses.is_dataclass(config):
        return {spec.name: plain(getattr(config, spec.name)) for spec in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (tuple, list)):
        return [plain(value) for value in config]
    return config


def describe(kind: Any) -> str:
    """The type in a reader's words: `a number or null`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "null"
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return "one of " + ", ".join(repr(argument) for argument in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"a list, each entry {describe(arguments[0])}"
        return f"a list of {len(arguments)}, each entry {describe(arguments[0])}"
    if origin is Mapping:
        return "a mapping of keys"
    return {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[kind]


def _suggest(key: str, schema: Any, prefix: str) -> str:
    siblings = list(get_type_hints(schema))
    hint = nearest(key, siblings)
    if hint:
        return hint.replace(" '", f" '{prefix}", 1)
    elsewhere = [dotted for dotted in dotted_keys() if dotted.split(".")[-1] == key]
    if elsewhere:
        return f" Did you mean '{elsewhere[0]}'?"
    return f" Known keys: {', '.join(prefix + sibling for sibling in siblings)}."


_MISMATCH = object()


def _converted(value: Any, kind: Any, key: str, source: str) -> Any:
    result = _convert(value, kind)
    if result is _MISMATCH:
        hint = ""
        if get_origin(kind) is Literal and isinstance(value, str):
            hint = nearest(value, [str(choice) for choice in get_args(kind)])
        found = f"{value!r} ({type(value).__name__})"
        raise ConfigError(f"{source}: `{key}`: expected {describe(kind)}. Received: {found}.{hint}")
    return result


def _convert(value: Any, kind: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        results = (_convert(value, argument) for argument in arguments)
        return next((result for result in results if result is not _MISMATCH), _MISMATCH)
    if origin is Literal:
        return value if value in arguments and not isinstance(value, bool) else _MISMATCH
    if origin is tuple:
        return _convert_sequence(value, arguments)
    if origin is Mapping:
        return dict(value) if isinstance(value, Mapping) else _MISMATCH
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is not bool and isinstance(value, bool):  # bool is an int to Python, not to a reader.
        return _MISMATCH
    return value if isinstance(value, kind) else _MISMATCH


def _convert_sequence(value: Any, arguments: tuple) -> Any:
    if not isinstance(value, (list, tuple)):
        return _MISMATCH
    if arguments[-1] is Ellipsis:
        kinds = [arguments[0]] * len(value)
    elif len(value) == len(arguments):
        kinds = list(arguments)
    else:
        return _MISMATCH
    entries = tuple(_convert(entry, kind) for entry, kind in zip(value, kinds, strict=True))
    return _MISMATCH if _MISMATCH in entries else entries
