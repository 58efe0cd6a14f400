"""Files from elsewhere, checked and kept in Keras' cache."""

import hashlib
import http.client
import os
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from keras_ctxseg.convert.errors import ConversionError
from keras_ctxseg.convert.location import Location

_CHUNK = 1 << 20
_TIMEOUT = 60.0


def cache_folder() -> Path:
    """Keras' cache, `$KERAS_HOME` or `~/.keras`, and in it this package's folder."""
    home = os.environ.get("KERAS_HOME") or str(Path.home() / ".keras")
    return Path(home) / "models" / "keras_ctxseg"


def fetch(location: Location) -> Path:
    """Returns the file behind an URL, from the cache if it is there and whole.

    A download goes to a temporary file beside its place, and to its place only when its checksum is
    right: whatever happens on the way, the cache never holds part of a file.

    Raises:
        ConversionError: If the URL cannot be reached, breaks off, or gives another file.
    """
    name = PurePosixPath(unquote(urlsplit(location.place).path)).name or "weights"
    target = cache_folder() / f"{location.digest[:16]}-{name}"
    if target.is_file() and _digest_of(target, location.algorithm).startswith(location.digest):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    except OSError as error:
        raise ConversionError(f"no cache for weights: {error}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            digest = _download(location, file, name)
        if not digest.startswith(location.digest):
            raise ConversionError(
                f"{location.place}: wrong checksum, so it is not kept. "
                f"Expected {location.algorithm} {location.digest}, found {digest}"
            )
        os.replace(part, target)
    finally:
        Path(part).unlink(missing_ok=True)
    return target


def _download(location: Location, file, name: str) -> str:
    """Copies what is behind the URL to `file` and returns its digest."""
    from tqdm import tqdm

    digest = hashlib.new(location.algorithm, usedforsecurity=False)
    try:
        with urllib.request.urlopen(location.place, timeout=_TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            size = int(length) if length else None
            hidden = not sys.stderr.isatty()
            with tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=hidden) as bar:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    bar.update(len(chunk))
        if size is not None and file.tell() != size:
            raise ConversionError(
                f"{location.place}: the connection broke off after {file.tell()} of {size} bytes"
            )
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise ConversionError(f"{location.place}: cannot be fetched ({reason})") from error
    return digest.hexdigest()


def _digest_of(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
