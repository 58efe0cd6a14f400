"""Other packages' networks, timed beside ours: modules in the repository's `benchmarks/peers`.

A peer is a module with

    FORMS            for each form of our models, the peer's forms that are measured beside it
    SHARED_OPTIONS   options that it takes over from our model
    prepare(subject, folder)   a call that runs the subject once, and its facts

and imports its framework inside `prepare`, in the process that measures it.
"""

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

from keras_ctxseg._naming import nearest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "peers"


def peer_names() -> list[str]:
    """The peers of this checkout, such as `tf-models`; none where the package is a wheel."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py"))


def is_peer(name: str) -> bool:
    """Whether `--against NAME` means a peer: a known one, or a path of a module."""
    return name.endswith(".py") or name in peer_names()


@functools.cache
def load_peer(name: str) -> ModuleType:
    """The module of a peer.

    Args:
        name: one of `peer_names()`, or the path of a `.py` file.

    Raises:
        ValueError: no such peer, or a module without `FORMS` or `prepare`.
    """
    path = Path(name) if name.endswith(".py") else FOLDER / f"{name.replace('-', '_')}.py"
    if not path.is_file():
        known = peer_names()
        where = f"one of {', '.join(known)}, " if known else "(only the repository has some) "
        raise ValueError(
            f"`--against`: expected a peer, {where}or the path of a peer's module. "
            f"Received: {name!r}.{nearest(name, known)}"
        )
    spec = importlib.util.spec_from_file_location(f"ctxseg_peer_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for attribute in ("FORMS", "SHARED_OPTIONS", "prepare"):
        if not hasattr(module, attribute):
            raise ValueError(f"`--against`: expected `{attribute}` in the peer's module {path}.")
    return module
