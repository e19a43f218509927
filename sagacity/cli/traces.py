"""What a command has put into a directory, and how it is taken away again."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path


class Traces:
    """Make one before anything is written; only what was not there then is removed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._missing = [each for each in (directory, *directory.parents) if not each.exists()]
        self._before = set(directory.iterdir()) if directory.is_dir() else set[Path]()

    def remove(self) -> None:
        for each in set(self._directory.iterdir()) - self._before:
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)
        for each in self._missing:
            with contextlib.suppress(OSError):  # somebody has put something there meanwhile
                each.rmdir()
