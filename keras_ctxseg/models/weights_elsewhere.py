"""Where the core asks for weights that are not in a file of this package's own.

The core knows nothing of downloads and of other projects' checkpoints. It calls what stands here;
the package, which is above all its parts, puts that here when it is imported.
"""

import os
import re
from collections.abc import Callable
from typing import Any

# Function `(model, weights, backbone)` that sets the weights and says what became of them.
load: Callable[[Any, str, Any], str] | None = None

_PREFIX = re.compile(r"^[a-z][\w-]+:(?!//)")


def is_elsewhere(weights: str) -> bool:
    """Tells `"imagenet"`, URLs and `source:place` from paths."""
    named = weights == "imagenet" or "://" in weights or _PREFIX.match(weights) is not None
    return named and not os.path.exists(weights)


def absolute(weights: str) -> str:
    """Makes the path in `weights`, if there is one, absolute."""
    if not is_elsewhere(weights):
        return os.path.abspath(weights)
    prefix = _PREFIX.match(weights)
    if prefix is None or "://" in weights:
        return weights
    return prefix[0] + os.path.abspath(os.path.expanduser(weights[prefix.end() :]))
