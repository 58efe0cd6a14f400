"""Options: the typed keyword-only parameters of a function or class.

A model family, a backbone and a data set each state their options in this way, once. `build`,
`load`, recipes and `ctxseg list` read names, types and defaults from there.
"""

import dataclasses
import functools
import inspect
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from keras_ctxseg._naming import nearest

REQUIRED = inspect.Parameter.empty
MISMATCH = object()
"""What `convert` returns for a value of another type."""


if typing.TYPE_CHECKING:
    DottedName = str
else:

    class DottedName(str):
        """The type of an option that names a class or function of any module; values are `str`.

        `my_package.MyLoss`, or `my_package>MyLoss` as registered with Keras.
        """


@dataclasses.dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: Its keyword.
        kind: Its type; `Any` where the function does not state one.
        default: Its default; `REQUIRED` where it has none.
    """

    name: str
    kind: Any = Any
    default: Any = REQUIRED

    @property
    def is_path(self) -> bool:
        """Whether the option names a file or folder: its type allows `os.PathLike`."""
        kinds = {get_origin(kind) or kind for kind in (self.kind, *get_args(self.kind))}
        return os.PathLike in kinds

    def __str__(self) -> str:
        kind = "" if self.kind is Any else f": {describe(self.kind)}"
        default = "required" if self.default is REQUIRED else f"default {_written(self.default)}"
        return f"{self.name}{kind} ({default})"


def options_of(function: Callable, positional: Sequence[str] = ()) -> dict[str, Option]:
    """Reads the options of a function or class.

    Args:
        function: A function, a class (its constructor), or a `functools.partial` of one.
        positional: Names of the arguments that are not options and come first.

    Returns:
        The keyword-only parameters, in order.

    Raises:
        ValueError: If one of `positional` is missing, or another parameter is not keyword-only.
    """
    options = {}
    expected = f"({', '.join([*positional, '*', 'option=default'])}, ...)"
    parameters = inspect.signature(function).parameters
    for name in positional:
        if name not in parameters:
            raise ValueError(
                f"{_name(function)}: expected the parameters {expected}. Received: no `{name}`"
            )
    for name, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            options[name] = Option(name, _kind(function, parameter), parameter.default)
        elif name not in positional or parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise ValueError(
                f"{_name(function)}: expected the parameters {expected}, each option by keyword "
                f"only and by its name. Received: {parameter}"
            )
    return options


def checked_options(
    owner: str, values: Mapping[str, Any], options: Mapping[str, Option]
) -> dict[str, Any]:
    """Checks names and types of given options.

    Args:
        owner: What the messages name, such as `"'ksac_resnet50'"`.
        values: The given options.
        options: The known ones.

    Returns:
        `values`, with lists turned to tuples and integers to floats where the type says so.

    Raises:
        ValueError: If an option is unknown (with the nearest known one) or has another type.
    """
    result = {}
    for name, value in values.items():
        if name not in options:
            raise ValueError(
                f"{owner} has no option {name!r}; its options are {sorted(options)}."
                + nearest(name, options)
            )
        kind = options[name].kind
        result[name] = convert(value, kind)
        if result[name] is MISMATCH:
            raise ValueError(
                f"{owner}, option `{name}`: expected {describe(kind)}. "
                f"Received: {value!r} ({type(value).__name__}).{suggest(value, kind)}"
            )
    return result


def describe(kind: Any) -> str:
    """Says a type in a reader's words: `a number or null`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "null"
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(argument) for argument in arguments))
    if origin is Literal:
        words = ", ".join(repr(argument) for argument in arguments)
        return f"one of {words}" if len(arguments) > 1 else words
    if origin is tuple and arguments:
        if arguments[-1] is Ellipsis:
            return f"a list, each entry {describe(arguments[0])}"
        return f"a list of {len(arguments)}, each entry {describe(arguments[0])}"
    names: dict[Any, str] = {
        int: "an integer",
        float: "a number",
        bool: "true or false",
        str: "a string",
        DottedName: "a dotted name",
        os.PathLike: "a path",
        tuple: "a list",
        Sequence: "a list",
        Mapping: "a mapping of keys",
        dict: "a mapping of keys",
    }
    kind = origin or kind
    return names.get(kind) or str(getattr(kind, "__name__", kind))


def suggest(value: Any, kind: Any) -> str:
    """Returns the nearest right word where a type is a choice of words, or `""`."""
    choices = [*get_args(kind)]
    for inner in get_args(kind):
        choices += get_args(inner)
    words = [choice for choice in choices if isinstance(choice, str)]
    return nearest(value, words) if isinstance(value, str) else ""


def convert(value: Any, kind: Any) -> Any:
    """Converts a value as YAML or a caller gives it to a type.

    Returns:
        The value, with lists turned to tuples and integers to floats where the type says so;
        `MISMATCH` if it is of another type. Types that YAML cannot write pass unchecked.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        results = (convert(value, argument) for argument in arguments)
        return next((result for result in results if result is not MISMATCH), MISMATCH)
    if origin is Literal:
        return value if value in arguments and not isinstance(value, bool) else MISMATCH
    if origin is tuple:
        return _convert_sequence(value, arguments)
    kind = origin or kind
    if kind not in (bool, Any) and isinstance(value, bool):  # bool is an int to Python only.
        return MISMATCH
    if kind is float:
        return _finite(value) if isinstance(value, numbers.Real) else MISMATCH
    if kind is int:
        return value if isinstance(value, numbers.Integral) else MISMATCH
    if kind in (bool, str, type(None), os.PathLike):
        return value if isinstance(value, kind) else MISMATCH
    if kind is DottedName:
        return value if isinstance(value, str) and _is_dotted(value) else MISMATCH
    if kind in (Mapping, dict):
        named = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
        return dict(value) if named else MISMATCH
    return value


def _is_dotted(name: str) -> bool:
    """`my_package.MyLoss`, or `my_package>MyLoss` as registered with Keras."""
    parts = name.split(">" if ">" in name else ".")
    return len(parts) > 1 and all(part if ">" in name else part.isidentifier() for part in parts)


def _finite(value: Any) -> Any:
    try:
        number = float(value)
    except OverflowError:
        return MISMATCH
    return number if math.isfinite(number) else MISMATCH


def _convert_sequence(value: Any, arguments: tuple) -> Any:
    if not isinstance(value, (list, tuple)):
        return MISMATCH
    if not arguments:
        return tuple(value)
    if arguments[-1] is Ellipsis:
        kinds = [arguments[0]] * len(value)
    elif len(value) == len(arguments):
        kinds = list(arguments)
    else:
        return MISMATCH
    entries = tuple(convert(entry, kind) for entry, kind in zip(value, kinds, strict=True))
    return MISMATCH if any(entry is MISMATCH for entry in entries) else entries


def _kind(function: Callable, parameter: inspect.Parameter) -> Any:
    """The type of a parameter; `Any` where it has none, or one that only type checkers can see."""
    while isinstance(function, functools.partial):
        function = function.func
    if parameter.annotation is REQUIRED:
        return Any
    owner = vars(function).get("__init__") if isinstance(function, type) else function
    holder = types.SimpleNamespace(__annotations__={"kind": parameter.annotation})
    try:
        return typing.get_type_hints(holder, getattr(owner, "__globals__", {}))["kind"]
    except NameError:
        return Any


def _name(function: Callable) -> str:
    return getattr(function, "__name__", repr(function))


def _written(default: Any) -> str:
    words: dict = {None: "null", True: "true", False: "false"}
    return words[default] if default is None or isinstance(default, bool) else repr(default)
