"""Annotation files read and validated before anything is drawn.

Pydantic checks types, finite numbers and sizes; what it cannot know, such as whether run lengths
add up to the image, is checked here. Every error names the file and the annotation.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict

from keras_ctxseg.data.images import FileError

MOST_PIXELS = 1 << 20  # of a side; larger sizes are a fault of the file
_FAR = 16  # a coordinate this many image sides away is a fault, not an object beyond the edge


def _whole(value: Any) -> Any:
    """`480.0` as 480: some tools write integers so."""
    return int(value) if type(value) is float and value.is_integer() else value


def _usable_name(value: str) -> str:
    if not value.strip("./\\ ") or "\0" in value:
        raise ValueError("expected the name of a file")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("expected the name of a file, in Unicode") from None
    return value


def _text(value: Any) -> Any:
    """A number as text: labels may be numbers."""
    return str(value) if type(value) is int else value


def _identifier(value: Any) -> int | str:
    value = _whole(value)
    if type(value) not in (int, str):
        raise ValueError("expected an integer or a text")
    return value


Side = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=1, le=MOST_PIXELS)]
Count = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=0, le=1 << 40)]
Whole = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=-(1 << 40), le=1 << 40)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[str, BeforeValidator(_text), Field(strict=True)]
FileName = Annotated[str, Field(strict=True), AfterValidator(_usable_name)]
Point = tuple[Number, Number]
Identifier = Annotated[int | str, PlainValidator(_identifier)]


class CocoImage(TypedDict):
    """An entry of `images`."""

    id: Identifier
    file_name: FileName
    height: Side
    width: Side


class CocoCategory(TypedDict):
    """An entry of `categories`."""

    id: Identifier
    name: Text
    supercategory: NotRequired[Any]


class CocoAnnotation(TypedDict):
    """An entry of `annotations`, without its `segmentation`."""

    image_id: Identifier
    category_id: Identifier
    iscrowd: NotRequired[Annotated[int, Field(ge=0, le=1)] | None]


class CocoRle(TypedDict):
    """Run lengths: a list, or COCO's compressed text."""

    size: tuple[Side, Side]
    counts: list[Count] | Annotated[str, Field(strict=True)]


class LabelMeShape(TypedDict):
    """An entry of `shapes`."""

    label: Text
    points: list[Point]
    shape_type: NotRequired[Annotated[str, Field(strict=True)] | None]
    mask: NotRequired[Annotated[str, Field(strict=True)] | None]


class LabelMeFile(TypedDict):
    """LabelMe's file, its shapes unread."""

    shapes: list[Any]
    imageHeight: Side
    imageWidth: Side
    imagePath: NotRequired[Annotated[str, Field(strict=True)] | None]


_KEYS = set().union(
    *(
        schema.__annotations__
        for schema in (CocoImage, CocoCategory, CocoAnnotation, CocoRle, LabelMeShape, LabelMeFile)
    )
)
_WORDS = {
    "missing": "this key",
    "tuple_type": "two numbers",
    "too_long": "two numbers",
    "too_short": "two numbers",
    "dict_type": "an object",
    "list_type": "a list",
}
POLYGONS: TypeAdapter = TypeAdapter(list[list[Number]])
RLE: TypeAdapter = TypeAdapter(CocoRle)


class Problems(list[FileError]):
    """Faults of single annotations, collected so that the first few can be told together."""

    def report(self, error: FileError) -> None:
        """Keep an error; `writing` raises the first few, or leaves their annotations out."""
        self.append(error)


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        FileError: no such file, or no JSON in UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FileError("unreadable", path, f"expected JSON. Found: {error}") from error
    except RecursionError as error:
        text = "expected JSON. Found: lists or objects inside each other without end"
        raise FileError("unreadable", path, text) from error


def validated(schema: TypeAdapter, value: Any, source: Path, where: str = "") -> Any:
    """A value as the schema has it.

    Args:
        schema: of the value.
        value: from a JSON file.
        source: the file that errors name.
        where: the value's place in the file, such as `"shapes[3]"`.

    Raises:
        FileError: says what is wrong first, and where.
    """
    try:
        return schema.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = where
        for part in first["loc"]:
            if isinstance(part, int):
                place += f"[{part}]"
            elif part in _KEYS:  # other parts are names of pydantic's own
                place += f".{part}" if place else part
        expected, found = _WORDS.get(first["type"], first["msg"]), f"{first['input']!r:.60}"
        expected = expected.removeprefix("Value error, ").removeprefix("expected ")
        expected = expected.removeprefix("Input should be ")
        if first["type"] == "missing":
            found = "none"
        text = f"{place}: expected {expected}. Found: {found}"
        raise FileError("unreadable", source, text.removeprefix(": ")) from error


def check_near(coordinates: Any, height: int, width: int, source: Path, where: str) -> np.ndarray:
    """Coordinates as float64, refused where they lie far beyond the image.

    Raises:
        FileError: a coordinate more than 16 image sides away from the image.
    """
    values = np.asarray(coordinates, np.float64)
    limit = _FAR * max(height, width)
    if values.size and np.abs(values).max() > limit:
        found = float(values.flat[np.abs(values).argmax()])
        text = f"{where}: expected coordinates near the image of {height}x{width} (height x width)."
        raise FileError("unreadable", source, f"{text} Found: {found:g}")
    return values


def check_polygons(
    value: Any, height: int, width: int, source: Path, where: str
) -> list[list[float]]:
    """COCO's polygons, those of an area.

    Raises:
        FileError: no lists of finite numbers, an odd number of them, or far from the image.
    """
    polygons = validated(POLYGONS, value, source, f"{where}.segmentation")
    for number, polygon in enumerate(polygons):
        place = f"{where}.segmentation[{number}]"
        if len(polygon) % 2:
            text = f"{place}: expected pairs of x and y. Found: {len(polygon)} numbers"
            raise FileError("unreadable", source, text)
        check_near(polygon, height, width, source, place)
    # Fewer than three points are no area, and pycocotools would take four numbers for a box.
    return [polygon for polygon in polygons if len(polygon) >= 6]


def check_rle(value: Any, height: int, width: int, source: Path, where: str) -> dict[str, Any]:
    """COCO's run lengths, plain or compressed.

    Raises:
        FileError: of another size than the image, or run lengths that do not add up to it.
    """
    rle = validated(RLE, value, source, f"{where}.segmentation")
    if rle["size"] != (height, width):
        text = f"{where}: expected RLE of {height}x{width}. Found: {list(rle['size'])}"
        raise FileError("size_mismatch", source, text)
    counts = rle["counts"]
    if isinstance(counts, str):
        counts = uncompressed_counts(counts)
    if counts is None:
        text = f"{where}: expected COCO's compressed run lengths. Found: {rle['counts']!r:.60}"
        raise FileError("unreadable", source, text)
    check_sum(counts, height * width, source, where)
    return {"size": [height, width], "counts": rle["counts"]}


def check_sum(counts: Sequence[int], pixels: int, source: Path, where: str) -> None:
    """Raises `FileError` where run lengths do not add up to the number of pixels."""
    if min(counts, default=0) < 0 or sum(counts) != pixels:
        text = f"{where}: expected run lengths of {pixels} pixels in all. Found: {sum(counts)}"
        raise FileError("unreadable", source, text)


def uncompressed_counts(text: str) -> list[int] | None:
    """COCO's compressed run lengths as numbers; None where they are damaged.

    Five bits in a character, the sixth says that more follow; from the fourth on, a number is the
    difference to the run before the last.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 8:
        return None
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    values = np.add.reduceat((codes & 31) << (5 * places), starts)
    negative = codes[ends] & 16 > 0
    values = np.where(negative, values - (1 << 5 * lengths), values)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values.tolist()
