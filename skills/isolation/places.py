"""Where Python and what it imports are: the files that every isolated call may read."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SOURCES: Final = frozenset({".py", ".so", ".zip"})
_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
_SYSTEM: Final = (
    "/dev/null",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)


@functools.cache
def readable() -> tuple[str, ...]:
    """Python's own directories whole; of others on its path only what can be imported: data lies beside it."""
    own = {path for name, path in sysconfig.get_paths().items() if name.endswith(("stdlib", "lib"))}
    own |= {sys.executable, os.path.realpath(sys.executable), str(Path(sys.prefix) / "pyvenv.cfg")}
    scripts = {sysconfig.get_path("scripts")}
    others = [Path(entry) for entry in sys.path if entry and not _is_within(entry, own)]
    return tuple(sorted(own | scripts | {*_LIBRARIES, *_SYSTEM} | {str(path) for each in others for path in _of(each)}))


@functools.cache
def listable() -> tuple[str, ...]:
    """Python looks for modules by name."""
    return tuple(entry for entry in sys.path if entry and Path(entry).is_dir())


def _of(entry: Path) -> Iterator[Path]:
    if entry.is_file():
        yield entry
    elif entry.is_dir():
        yield from (each for each in entry.iterdir() if each.suffix in _SOURCES or (each / "__init__.py").is_file())


def _is_within(entry: str, directories: set[str]) -> bool:
    return any(Path(entry).is_relative_to(each) for each in directories)
