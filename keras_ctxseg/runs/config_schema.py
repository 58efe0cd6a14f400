"""Nested mappings against typed dataclasses: key and type errors that say what would be right."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

from keras_ctxseg._naming import nearest
from keras_ctxseg._options import MISMATCH, convert, describe, suggest
from keras_ctxseg._text import shown
from keras_ctxseg.runs.config import ConfigError, RunConfig


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the keys of a configuration were set, for messages.

    Args:
        source: the file or "command line"; the place of keys that are not in `known`.
        known: places by dotted key, `recipe.yaml:3`.
    """

    source: str
    known: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def of(self, key: str) -> str:
        """The place of a key, or of the section or list that it is in."""
        while key:
            if key in self.known:
                return self.known[key]
            key = re.sub(r"(^|\.)[^.\[]*$|\[\d+\]$", "", key)
        return self.source

    def overridden(self, above: "Places") -> "Places":
        """Places of these keys with those of `above` on top; `above` names the rest."""
        return Places(above.source, {**self.known, **above.known})


def dotted_keys(schema: Any = RunConfig, prefix: str = "") -> list[str]:
    """Every key of the schema, sections included: `["name", "model", "model.name", ...]`."""
    keys = []
    for name, kind in get_type_hints(schema).items():
        keys.append(prefix + name)
        if section := _section_of(kind):
            keys.extend(dotted_keys(section, f"{prefix}{name}."))
    return keys


def checked(values: Any, schema: Any, places: Places, prefix: str = "") -> dict[str, Any]:
    """`values` with every leaf converted to its field's type; keys may be missing or null.

    Args:
        values: a mapping as YAML gives it.
        schema: the dataclass whose fields are the legal keys.
        places: where the values were set, for the messages.
        prefix: dotted path of `values` inside the whole, with a final dot.

    Raises:
        ConfigError: on an unknown key or a value of another type.
    """
    if not isinstance(values, Mapping):
        section = prefix.rstrip(".")
        raise ConfigError(
            f"{places.of(section)}: `{section or 'the file'}`: expected a mapping of keys. "
            f"Received: {shown(values)}"
        )
    kinds = get_type_hints(schema)
    result: dict[str, Any] = {}
    for key, value in values.items():
        if key not in kinds:
            raise ConfigError(
                f"{places.of(f'{prefix}{key}')}: unknown key `{prefix}{key}`."
                f"{_suggest(str(key), schema, prefix)} Received: {prefix}{key}={shown(value)}"
            )
        if value is None:
            result[key] = None
        elif section := _section_of(kinds[key]):
            result[key] = checked(value, section, places, f"{prefix}{key}.")
        elif _entry_of(kinds[key]) is not None:
            result[key] = _checked_entries(value, kinds[key], places, f"{prefix}{key}")
        else:
            result[key] = _converted(value, kinds[key], f"{prefix}{key}", places)
    return result


def construct(values: Mapping[str, Any], schema: Any, places: Places, prefix: str = "") -> Any:
    """The dataclass of already checked `values`; a key without a value or default is an error."""
    kinds = get_type_hints(schema)
    arguments = {}
    for spec in dataclasses.fields(schema):
        kind = kinds[spec.name]
        if spec.name in values:
            value, entry, section = values[spec.name], _entry_of(kind), _section_of(kind)
            if section and not (value is None and section is not kind):
                value = construct(value, section, places, f"{prefix}{spec.name}.")
            elif entry is not None:
                value = tuple(
                    construct(each, entry, places, f"{prefix}{spec.name}[{index}].")
                    for index, each in enumerate(value)
                )
            arguments[spec.name] = value
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            if dataclasses.is_dataclass(kind):  # Name the leaf that is missing, not the section.
                construct({}, kind, places, f"{prefix}{spec.name}.")
            raise ConfigError(
                f"{places.source}: `{prefix}{spec.name}` is missing. Expected {describe(kind)}."
            )
    try:
        return schema(**arguments)
    except ValueError as error:
        key = re.match(r"`([^`]*)`", str(error))
        place = places.source if key is None else places.of(key[1])
        raise ConfigError(f"{place}: {error}") from None


def plain(config: Any) -> Any:
    """A dataclass as what YAML can write: dicts, lists and scalars."""
    if dataclasses.is_dataclass(config):
        return {spec.name: plain(getattr(config, spec.name)) for spec in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (tuple, list)):
        return [plain(value) for value in config]
    return config


def _section_of(kind: Any) -> Any:
    """The dataclass of a section, `X` or `X | None`; None for other types."""
    kinds = [each for each in get_args(kind) or (kind,) if each is not type(None)]
    return kinds[0] if len(kinds) == 1 and dataclasses.is_dataclass(kinds[0]) else None


def _entry_of(kind: Any) -> Any:
    """The dataclass of a list of them, `tuple[X, ...]`; None for other types."""
    entry = get_args(kind)[0] if get_origin(kind) is tuple else None
    return entry if dataclasses.is_dataclass(entry) else None


def _checked_entries(values: Any, kind: Any, places: Places, key: str) -> list[dict[str, Any]]:
    """The entries of a list of dataclasses; a string stands for an entry of this `name`."""
    if not isinstance(values, (list, tuple)):
        raise ConfigError(
            f"{places.of(key)}: `{key}`: expected a list, each entry a name or a mapping of keys. "
            f"Received: {shown(values)}"
        )
    return [
        checked(
            {"name": value} if isinstance(value, str) else value,
            _entry_of(kind),
            places,
            f"{key}[{index}].",
        )
        for index, value in enumerate(values)
    ]


def _suggest(key: str, schema: Any, prefix: str) -> str:
    siblings = list(get_type_hints(schema))
    hint = nearest(key, siblings)
    if hint:
        return hint.replace(" '", f" '{prefix}", 1)
    elsewhere = [dotted for dotted in dotted_keys() if dotted.split(".")[-1] == key]
    if elsewhere:
        return f" Did you mean '{elsewhere[0]}'?"
    return f" Expected one of {', '.join(prefix + sibling for sibling in siblings)}."


def _converted(value: Any, kind: Any, key: str, places: Places) -> Any:
    result = convert(value, kind)
    if result is MISMATCH:
        found = f"{shown(value)} ({type(value).__name__})"
        raise ConfigError(
            f"{places.of(key)}: `{key}`: expected {describe(kind)}. Received: {found}."
            f"{suggest(value, kind)}"
        )
    return result
