"""Where weights are, `[source:]path` or `[source:]url#algorithm=digest`, and their download.

Downloaded files are checked and kept in Keras' cache.
"""

import dataclasses
import hashlib
import http.client
import os
import re
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from keras_ctxseg._naming import nearest
from keras_ctxseg.convert.report import ConversionError

# Hexadecimal digits of each. PyTorch's file names carry the first eight of a SHA-256.
_DIGITS = {"sha256": range(8, 65), "sha1": range(40, 41), "md5": range(32, 33)}
_URL = re.compile(r"^(https?|file)://")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True)
class Location:
    """A file, here or elsewhere, and whose it is.

    Attributes:
        source: Name of a source; `""` for this package's own files.
        place: Path or URL, without the checksum.
        algorithm, digest: Of the checksum; `""` for a path.
    """

    source: str
    place: str
    algorithm: str = ""
    digest: str = ""

    @property
    def is_url(self) -> bool:
        return bool(_URL.match(self.place))


def parse_location(text: str, sources: Collection[str]) -> Location:
    """Reads `[source:]place[#algorithm=digest]`.

    Args:
        text: Such as `torchvision:https://.../resnet50-0676ba61.pth#sha256=0676ba61`.
        sources: Names of sources.

    Raises:
        ConversionError: If the source is unknown, or the URL is not https or has no checksum.
    """
    source, place = "", text
    prefix = re.match(r"^([a-z][\w-]+):(?!//)", text)
    if prefix:
        source, place = prefix[1], text[prefix.end() :]
        if source not in sources:
            raise ConversionError(
                f"`weights`: {source!r} is none of the sources {', '.join(sorted(sources))}."
                + nearest(source, sources)
            )
    if not _URL.match(place):
        if "://" in place:
            raise ConversionError(f"`weights`: expected a path, https:// or file://. {place!r}")
        return Location(source, place)
    if not _is_safe(place):
        raise ConversionError(
            f"`weights`: expected https://, as anybody on the way can change what http:// gives. "
            f"Received: {place!r}"
        )
    place, _, checksum = place.partition("#")
    algorithm, _, digest = checksum.partition("=")
    digest = digest.lower()
    if algorithm not in _DIGITS or not re.fullmatch("[0-9a-f]+", digest):
        raise ConversionError(
            f"`weights`: an URL needs the checksum of its file, {place}#sha256=<digits> (or sha1=, "
            f"md5=). Received: {checksum or 'none'}"
        )
    if len(digest) not in _DIGITS[algorithm]:
        digits = _DIGITS[algorithm]
        raise ConversionError(
            f"`weights`: {algorithm} takes {digits[0]} to {digits[-1]} hexadecimal digits. "
            f"Received: {len(digest)}"
        )
    return Location(source, place, algorithm, digest)


_CHUNK = 1 << 20
_TIMEOUT = 60.0


def cache_folder() -> Path:
    """Keras' cache, `$KERAS_HOME` or `~/.keras`, and in it this package's folder."""
    home = os.environ.get("KERAS_HOME") or str(Path.home() / ".keras")
    return Path(home) / "models" / "keras_ctxseg"


def fetch(location: Location) -> Path:
    """Returns the file behind an URL, from the cache if it is there and whole.

    A download goes to a temporary file beside its place, and to its place only when its checksum is
    right: whatever happens on the way, the cache never holds part of a file. The first download's
    full SHA-256 is kept beside the file, as some published checksums are short: later downloads of
    the URL have to give the same file.

    Raises:
        ConversionError: If the URL cannot be reached, breaks off, or gives another file.
    """
    name = PurePosixPath(unquote(urlsplit(location.place).path)).name or "weights"
    target = cache_folder() / f"{location.digest[:16]}-{name}"
    record = target.with_name(f"{target.name}.sha256")
    known = _recorded(record)
    if target.is_file() and _digest_of(target, location.algorithm).startswith(location.digest):
        full = _digest_of(target, "sha256")
        if full == (known or full):
            return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    except OSError as error:
        raise ConversionError(f"no cache for weights: {error}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            _download(location, file, name)
        digest = _digest_of(Path(part), location.algorithm)
        if not digest.startswith(location.digest):
            raise ConversionError(
                f"{location.place}: wrong checksum, so it is not kept. "
                f"Expected {location.algorithm} {location.digest}, found {digest}"
            )
        full = _digest_of(Path(part), "sha256")
        if full != (known or full):
            raise ConversionError(
                f"{location.place}: another file than at the first download, so it is not kept. "
                f"Expected sha256 {known}, found {full}. If its publisher says that it was "
                f"replaced, delete {record}"
            )
        os.replace(part, target)
        record.write_text(f"{full}\n", encoding="ascii")
    finally:
        Path(part).unlink(missing_ok=True)
    return target


def _recorded(record: Path) -> str | None:
    """The SHA-256 of an earlier download; None where there was none or its record is damaged."""
    try:
        text = record.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return text if re.fullmatch("[0-9a-f]{64}", text) else None


def _is_safe(url: str) -> bool:
    """Whether nobody between here and the server can change what an URL gives."""
    parts = urlsplit(url)
    return parts.scheme in ("https", "file") or parts.hostname in _LOOPBACK


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if not _is_safe(newurl) or newurl.startswith("file:"):
            raise urllib.error.URLError(f"it leads on to {newurl!r}, expected https://")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(location: Location, file, name: str) -> None:
    """Copies what is behind the URL to `file`."""
    from tqdm import tqdm

    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(location.place, timeout=_TIMEOUT) as response:
            length = response.headers.get("Content-Length")
            size = int(length) if length else None
            hidden = not sys.stderr.isatty()
            with tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=hidden) as bar:
                while chunk := response.read(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        if size is not None and file.tell() != size:
            raise ConversionError(
                f"{location.place}: the connection broke off after {file.tell()} of {size} bytes"
            )
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        if isinstance(error, ConversionError):
            raise
        reason = getattr(error, "reason", None) or error
        raise ConversionError(f"{location.place}: cannot be fetched ({reason})") from error


def _digest_of(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
