"""The modules that a recipe names under `imports`: families, layers, losses, callbacks of others.

A recipe names an installed module (`my_package.my_family`) or a `.py` file. Nothing is imported
that a recipe does not name. A run keeps a copy of each file, so that evaluation, prediction and
export work with the code that it was trained with, wherever the run's folder is.
"""

import hashlib
import importlib
import importlib.util
import os
import shutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from keras_ctxseg.runs.config import ConfigError

_DIGESTS: dict[str, str] = {}  # Of the files that were imported, by module name.


def import_modules(imports: Iterable[str], recipe: str | Path) -> None:
    """Imports modules and files, in order; what is imported already stays as it is.

    A file becomes the module of its name: after `parts/my_family.py` has been imported, other
    files and dotted names find it as `my_family`.

    Args:
        imports: names of modules, or paths of `.py` files.
        recipe: what the messages name.

    Raises:
        ConfigError: a module that cannot be found or that fails; the message names it, the recipe
            and, for an exception in it, file and line.
    """
    for name in imports:
        where = f"{recipe}: `imports`: {name}"
        try:
            if is_file(name):
                _import_file(Path(name), where)
            else:
                importlib.import_module(name)
        except ConfigError:
            raise
        except ModuleNotFoundError as error:
            if error.name is not None and f"{name}.".startswith(f"{error.name}."):
                raise ConfigError(
                    f"{where}: there is no such module. Install its package, set PYTHONPATH, or "
                    f"give the path of a .py file"
                ) from None
            _fail(where, error)
        except Exception as error:
            _fail(where, error)


def is_file(name: str) -> bool:
    """Whether an entry of `imports` is the path of a file, not the name of a module."""
    return name.endswith(".py")


def anchored(name: str, folder: Path) -> str:
    """An entry of `imports` with a relative path made absolute, from `folder`."""
    return os.path.abspath(folder / os.path.expanduser(name)) if is_file(name) else name


def keep_files(imports: Iterable[str], folder: Path) -> tuple[str, ...]:
    """Copies the files among `imports` to a folder.

    Returns:
        `imports`, files as paths relative to the parent of `folder`.

    Raises:
        OSError: if a file cannot be copied.
    """
    kept = []
    for name in imports:
        if is_file(name):
            source, copy = Path(name), folder / Path(name).name
            folder.mkdir(parents=True, exist_ok=True)
            if not (copy.exists() and copy.samefile(source)):
                shutil.copyfile(source, copy)
            name = f"{folder.name}/{copy.name}"
        kept.append(name)
    return tuple(kept)


def described(imports: Iterable[str]) -> list[str]:
    """`imports` for comparison: files by name and content, wherever they are."""
    return [f"{Path(name).name} {_digest(Path(name))}" if is_file(name) else name
            for name in imports]  # fmt: skip


def _import_file(path: Path, where: str) -> None:
    if not path.is_file():
        raise ConfigError(f"{where}: there is no such file")
    name, digest = path.stem, _digest(path)
    if not name.isidentifier() or name in sys.stdlib_module_names:
        raise ConfigError(f"{where}: expected a file named like a module of its own")
    loaded = sys.modules.get(name)
    if loaded is not None:
        if _DIGESTS.get(name, _digest_of(loaded)) != digest:
            raise ConfigError(
                f"{where}: another module {name!r} is imported already, from "
                f"{getattr(loaded, '__file__', None)}; rename the file, or start a new process"
            )
        return
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # as for every .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _DIGESTS[name] = digest


def _fail(where: str, error: Exception) -> NoReturn:
    """Raises with the last line outside the import machinery."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    raise ConfigError(f"{where}: {type(error).__name__}: {error}{place}") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else "missing"


def _digest_of(module: ModuleType) -> str:
    return _digest(Path(getattr(module, "__file__", None) or ""))
