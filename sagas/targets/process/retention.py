"""What is left of releases that ended: logs and working directories of the newest ones are kept."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Container
from typing import Final

from sagas.targets.process.layout import Layout

_KEPT: Final = 200


def drop_oldest(layout: Layout, needed: Container[str], kept: int = _KEPT) -> None:
    """Remove what releases beyond the newest `kept` left, by their last line; those in `needed` stay."""
    ended: list[tuple[float, str]] = []
    for log in layout.logs.glob("*.log"):
        key = log.name.removesuffix(".log")
        if not key.endswith(".1") and key not in needed:
            with contextlib.suppress(FileNotFoundError):
                ended.append((log.stat().st_mtime, key))
    for _, key in sorted(ended, reverse=True)[kept:]:
        for name in (f"{key}.log", f"{key}.1.log"):
            (layout.logs / name).unlink(missing_ok=True)
        shutil.rmtree(layout.work(key), ignore_errors=True)
