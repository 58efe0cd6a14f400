"""Classes and functions by name: what a recipe names is found, called and checked.

A name is dotted, `my_package.MyLoss`, or the one that the class is registered with Keras under,
`my_package>MyLoss`.
"""

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from keras_ctxseg._naming import nearest
from keras_ctxseg._options import DottedName


@dataclasses.dataclass(frozen=True)
class Named:
    """A class or function by name, and the arguments to call it with.

    Args:
        name: dotted, or as registered with Keras; a recipe may give it alone, as a string.
        arguments: by keyword.
    """

    name: DottedName
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def find(name: str, key: str) -> Any:
    """Finds what a name means, and imports its module.

    Args:
        name: dotted, or as registered with Keras.
        key: what the messages name, such as `training.optimizer`.

    Raises:
        ValueError: no such module, no such name in it, or nothing registered.
    """
    if ">" in name:
        from keras import saving

        found = saving.get_registered_object(name)
        if found is None:
            raise ValueError(
                f"`{key}`: nothing is registered with Keras as {name!r}. The module that registers "
                f"it must be one of the recipe's `imports`"
            )
        return found
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ValueError(f"`{key}`: {module_name} cannot be imported: {error}") from error
        raise ValueError(
            f"`{key}`: there is no module {module_name!r}. Received: {name!r}. A .py file must be "
            f"one of the recipe's `imports`"
        ) from None
    except Exception as error:  # whatever the module's code raises
        raise ValueError(
            f"`{key}`: {module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        raise ValueError(
            f"`{key}`: {module_name} has no {attribute!r}.{nearest(attribute, dir(module))}"
        )
    return getattr(module, attribute)


def make(part: Named, key: str, kind: type, offered: Mapping[str, Any] | None = None) -> Any:
    """Calls the class or function of a name.

    Args:
        part: the name and its arguments.
        key: what the messages name.
        kind: what must come of it.
        offered: further arguments, which it gets if it has parameters of these names.

    Raises:
        ValueError: a name that is not there, arguments that do not fit, or a result of another
            class.
    """
    function = find(part.name, key)
    made = call(function, part, key, offered or {})
    if not isinstance(made, kind):
        raise ValueError(
            f"`{key}`: expected {part.name} to make a Keras {kind.__name__}. Received: {made!r}"
        )
    return made


def call(function: Callable, part: Named, key: str, offered: Mapping[str, Any]) -> Any:
    """Calls `function` with the arguments of `part` and those of `offered` that it knows."""
    if not callable(function):
        raise ValueError(f"`{key}`: expected a class or function. Received: {part.name}")
    known = parameters(function)
    given = {name: value for name, value in offered.items() if name in known}
    try:
        return function(**{**given, **part.arguments})
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{key}`: {part.name}: {error}") from error


def parameters(function: Callable) -> set[str]:
    """Names of the parameters that a class or function states."""
    try:
        return set(inspect.signature(function).parameters)
    except ValueError:  # Some built-in functions have no signature.
        return set()
