"""What is wrong with a file, for an error line and for a table alike."""

import os
from pathlib import Path


class FileError(ValueError):
    """A file that cannot be used as it is; the message begins with its path.

    Args:
        code: which kind of problem, a key of `checks.findings.KINDS`.
        path: the file or folder.
        text: what was expected and what was found.
    """

    def __init__(self, code: str, path: str | os.PathLike, text: str):
        super().__init__(f"{path}: {text}")
        self.code, self.path, self.text = code, Path(path), text
