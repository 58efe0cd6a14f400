"""Where weights are: `[source:]path` or `[source:]url#algorithm=digest`."""

import dataclasses
import re
from collections.abc import Collection

from keras_ctxseg._naming import nearest
from keras_ctxseg.convert.errors import ConversionError

# Hexadecimal digits of each. PyTorch's file names carry the first eight of a SHA-256.
_DIGITS = {"sha256": range(8, 65), "sha1": range(40, 41), "md5": range(32, 33)}
_URL = re.compile(r"^(https?|file)://")


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
        ConversionError: If the source is unknown, or the URL has no checksum that can be one.
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
            raise ConversionError(f"`weights`: expected a path, http(s):// or file://. {place!r}")
        return Location(source, place)
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
