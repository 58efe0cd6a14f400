"""Lazy packages: public names are imported on first use.

A package's `__init__` imports its public names under `if TYPE_CHECKING:`, where editors, type
checkers and the reference find them, and ends with

    __getattr__, __dir__, __all__ = lazy_exports(__name__)

So a list of names, a configuration or a table costs no import of Keras or TensorFlow.
"""

import ast
import importlib
import sys
from collections.abc import Callable
from typing import Any

from keras_ctxseg._naming import nearest


def lazy_exports(
    package: str,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Makes the imports under `if TYPE_CHECKING:` of a package's `__init__` lazy.

    Args:
        package: The package's `__name__`.

    Returns:
        The package's `__getattr__`, `__dir__` and `__all__`.
    """
    module = sys.modules[package]
    homes = dict(_declared(module))

    def load(name: str) -> Any:
        if name not in homes:
            hint = "" if name.startswith("__") else nearest(name, homes)
            raise AttributeError(f"module {package!r} has no attribute {name!r}.{hint}", name=name)
        home = homes[name]
        if home == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(home), name)
        setattr(module, name, value)
        return value

    names = sorted(homes)
    return load, lambda: sorted({*vars(module), *names}), names


def _declared(module: Any):
    """Yields `(name, home)` for every name imported under `if TYPE_CHECKING:`."""
    source = module.__spec__.loader.get_source(module.__name__)
    for block in ast.parse(source).body:
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING":
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    for alias in statement.names:
                        yield alias.name, statement.module
