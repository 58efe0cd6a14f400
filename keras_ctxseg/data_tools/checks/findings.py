"""What the check of a folder can find, and how grave it is."""

import dataclasses
from pathlib import Path

from keras_ctxseg.data.images import FileError

ERROR, WARNING = "error", "warning"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of finding: its severity, and its title in a table."""

    severity: str
    title: str


# In the order of a report: what stops a training first.
KINDS = {
    "layout": Kind(ERROR, "no such layout"),
    "class_file": Kind(ERROR, "class file"),
    "missing_mask": Kind(ERROR, "image without a mask"),
    "missing_image": Kind(ERROR, "mask without an image"),
    "same_name": Kind(ERROR, "two files of one name"),
    "unreadable": Kind(ERROR, "unreadable file"),
    "truncated": Kind(ERROR, "incomplete file"),
    "too_small": Kind(ERROR, "image too small"),
    "size_mismatch": Kind(ERROR, "mask of another size"),
    "mask_format": Kind(ERROR, "mask in another format"),
    "unknown_ids": Kind(ERROR, "undeclared ids in a mask"),
    "one_class": Kind(ERROR, "nothing to tell apart"),
    "leakage": Kind(ERROR, "one image in two splits"),
    "near_leakage": Kind(WARNING, "nearly one image in two splits"),
    "duplicate": Kind(WARNING, "the same image twice"),
    "near_duplicate": Kind(WARNING, "nearly the same image twice"),
    "lossy_mask": Kind(WARNING, "mask with lossy coding"),
    "exif_turned": Kind(WARNING, "image turned by EXIF"),
    "all_ignored": Kind(WARNING, "mask without a labelled pixel"),
    "constant_mask": Kind(WARNING, "mask of a single class"),
    "mostly_ignored": Kind(WARNING, "mostly ignored"),
    "absent_class": Kind(WARNING, "class that does not occur"),
    "no_validation": Kind(WARNING, "one split only"),
    "skipped_file": Kind(WARNING, "file that nobody reads"),
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes:
        code: a key of `KINDS`.
        path: the file or folder.
        message: what was expected and what was found.
    """

    code: str
    path: Path
    message: str

    @classmethod
    def of(cls, error: FileError) -> "Finding":
        """What an error says."""
        return cls(error.code, error.path, error.text)

    @property
    def severity(self) -> str:
        return KINDS[self.code].severity

    @property
    def title(self) -> str:
        return KINDS[self.code].title
