"""The classes of annotations that name them."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_ctxseg._naming import nearest
from keras_ctxseg.data.images import FileError
from keras_ctxseg.labels.panoptic import IGNORE_LABEL

BACKGROUND = "background"
_BACKGROUND_LABELS = {"background", "_background_"}
_VOID_LABELS = {"void", "__ignore__", "ignore"}


@dataclasses.dataclass(frozen=True)
class ClassList:
    """Names of classes and what pixels without an annotation are.

    Attributes:
        class_names: in the order of the ids.
        outside: the id of pixels without an annotation: the background's, or `IGNORE_LABEL`.
    """

    class_names: tuple[str, ...]
    outside: int

    @classmethod
    def of(cls, names: Iterable[str], outside: str = BACKGROUND) -> "ClassList":
        """Classes in the given order, the background first.

        Args:
            names: of the classes; names for void are left out, those for background unified.
            outside: `"background"`, a class of its own, or `"void"`, ignored.

        Raises:
            ValueError: no class, more than 255, or an unknown `outside`.
        """
        if outside not in (BACKGROUND, "void"):
            raise ValueError(f"`outside`: expected 'background' or 'void'. Received: {outside!r}")
        names = list(dict.fromkeys(name for name in names if name not in _VOID_LABELS))
        classes = [name for name in names if name not in _BACKGROUND_LABELS]
        if not classes:
            raise ValueError("Expected annotations of at least one class. Found: none")
        if outside == BACKGROUND or len(classes) < len(names):
            classes = [BACKGROUND, *classes]
        if len(classes) > IGNORE_LABEL:
            raise ValueError(
                f"Expected annotations of at most {IGNORE_LABEL} classes. Found: {len(classes)}; "
                "choose some of them with --classes (`classes`)"
            )
        return cls(tuple(classes), 0 if outside == BACKGROUND else IGNORE_LABEL)

    def knows(self, label: str) -> bool:
        """Whether `id_of` has an id for it."""
        return label in {*self.class_names, *_VOID_LABELS} or (
            label in _BACKGROUND_LABELS and BACKGROUND in self.class_names
        )

    def id_of(self, label: str, source: Path) -> int:
        """The id of an annotation's label. Raises `FileError` for an unknown one."""
        if label in _VOID_LABELS:
            return IGNORE_LABEL
        if label in _BACKGROUND_LABELS and BACKGROUND in self.class_names:
            return self.class_names.index(BACKGROUND)
        if not self.knows(label):
            text = f"expected labels of the given classes. Found: {label!r}."
            text += nearest(label, self.class_names)
            raise FileError("unknown_ids", source, text)
        return self.class_names.index(label)

    def class_file(self) -> dict[str, Any]:
        """What `classes.json` holds."""
        return {"classes": list(self.class_names), "void": IGNORE_LABEL}


def read_class_names(value: str) -> Sequence[str]:
    """`"car,road"`, or the name of a file with one class in a line."""
    path = Path(value).expanduser()
    if path.is_file():
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        return [line.strip() for line in lines if line.strip()]
    return [name.strip() for name in value.split(",") if name.strip()]
