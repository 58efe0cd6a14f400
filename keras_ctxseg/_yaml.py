"""YAML text as plain values: within limits, and every error with its line and key.

What comes back is made of dicts, lists, strings, integers, floats, booleans and null alone. Size,
depth and the number of values are limited, so that no text takes long or much memory.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from keras_ctxseg._text import is_clean, shown

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_VALUES = 20_000
MAX_DIGITS = 40

_TAG = "tag:yaml.org,2002:"
_SCALARS = ("str", "int", "float", "bool", "null")


class YamlError(ValueError):
    """Text that cannot be used.

    Attributes:
        message: without the key.
        line: where, counted from 1; None where YAML does not say.
        key: dotted; `""` where the text is no YAML at all.
    """

    def __init__(self, message: str, line: int | None = None, key: str = ""):
        super().__init__(f"`{key[:200]}`: {message}" if key else message)
        self.message, self.line, self.key = message, line, key


class _Loader(yaml.SafeLoader):
    """Reads `1e-4` as a number, and dates as the strings that they are written as."""

    depth = 0

    def compose_node(self, parent, index):
        if self.depth == MAX_DEPTH:
            mark = self.peek_event().start_mark
            raise YamlError(f"expected at most {MAX_DEPTH} levels of nesting", mark.line + 1)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node):
        super().flatten_mapping(node)
        if len(node.value) > MAX_VALUES:  # `<<` of merged mappings may double their number.
            raise YamlError(f"expected at most {MAX_VALUES} keys", node.start_mark.line + 1)


_Loader.yaml_implicit_resolvers = {
    first: [each for each in known if each[0] not in (f"{_TAG}timestamp", f"{_TAG}value")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
# YAML 1.1, which PyYAML follows, wants a dot and a signed exponent: it reads 1e-4 as a string.
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def parse(text: str, key: str = "") -> tuple[Any, dict[str, int]]:
    """Reads one YAML document.

    Args:
        text: the document.
        key: dotted, of the value that it is; the keys in messages and lines begin with it.

    Returns:
        The value, and the line of each key, counted from 1: `{"data": 3, "data.name": 4}`.

    Raises:
        YamlError: no YAML, values that are not plain, a key given twice, control characters, or
            text beyond the limits.
    """
    if len(text) > MAX_BYTES:
        raise YamlError(f"expected at most {MAX_BYTES // 1024} KiB. Found: {len(text)} characters")
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            reader = _Reader(loader)
            return (None if node is None else reader.value(node, key)), reader.lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        raise YamlError(
            f"not valid YAML: {', '.join(parts)}", None if mark is None else mark.line + 1
        ) from None
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:  # An anchor that contains itself, by `<<`.
        raise YamlError(f"expected at most {MAX_DEPTH} levels of nesting") from None


class _Reader:
    """Turns YAML's nodes into values, and notes their lines."""

    def __init__(self, loader: _Loader):
        self.loader = loader
        self.lines: dict[str, int] = {}
        self._count = 0
        self._depth = 0

    def value(self, node: yaml.Node, key: str) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(key, line)
        self._count += 1
        self._depth += 1
        if self._count > MAX_VALUES:  # Aliases repeat what they stand for.
            raise YamlError(f"expected at most {MAX_VALUES} values", line, key)
        if self._depth > MAX_DEPTH:
            raise YamlError(f"expected at most {MAX_DEPTH} levels of nesting", line, key)
        kind = node.tag.removeprefix(_TAG)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            value: Any = self._mapping(node, key)
        elif isinstance(node, yaml.SequenceNode) and kind == "seq":
            value = [self.value(each, f"{key}[{index}]") for index, each in enumerate(node.value)]
        elif isinstance(node, yaml.ScalarNode) and kind in _SCALARS:
            value = self._scalar(node, kind, key)
        else:
            raise YamlError(f"expected a plain value. Received: the tag {node.tag!r}", line, key)
        self._depth -= 1
        return value

    def _mapping(self, node: yaml.MappingNode, key: str) -> dict:
        own = len([each for each, _ in node.value if each.tag != f"{_TAG}merge"])
        self.loader.flatten_mapping(node)
        result: dict[Any, Any] = {}
        # What `<<` merges comes first, and may be given again.
        merged = len(node.value) - own
        given = set()
        for index, (key_node, value_node) in enumerate(node.value):
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                what = "mapping" if isinstance(key_node, yaml.MappingNode) else "list"
                raise YamlError(f"expected a word as a key. Received: a {what}", line, key)
            name = self.value(key_node, key)
            path = f"{key}.{name}" if key else f"{name}"
            if index >= merged:
                if name in given:
                    raise YamlError(f"key {name!r} is given twice", line, path)
                given.add(name)
            self.lines[path] = line
            result[name] = self.value(value_node, path)
        return result

    def _scalar(self, node: yaml.ScalarNode, kind: str, key: str) -> Any:
        text, line = node.value, node.start_mark.line + 1
        if kind in ("int", "float") and len(text) > MAX_DIGITS:
            raise YamlError(
                f"expected a number of at most {MAX_DIGITS} digits. Received: {len(text)}",
                line,
                key,
            )
        try:
            value = self.loader.construct_object(node)
        except (ValueError, KeyError, OverflowError):
            raise YamlError(
                f"expected a value of the type !!{kind}. Received: {text!r}", line, key
            ) from None
        if kind == "str" and not is_clean(value, "\n\t"):
            raise YamlError(
                f"expected text without control characters. Received: {shown(value)}", line, key
            )
        return value
