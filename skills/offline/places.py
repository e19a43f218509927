"""Files that a skill may look at: those of a path that the security context grants, within what whoever runs the skill
lets it read, and nothing beyond."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from skills.offline.findings import Unread
from skills.skill import Context, Places, SkillFailed

MOST_FILES: Final = 2_000
LARGEST_FILE: Final = 1_000_000
"""Bytes."""

_NOT_SOURCES: Final = frozenset(
    {".git", ".hg", ".svn", ".venv", ".tox", ".nox", ".eggs", ".mypy_cache", ".ruff_cache", ".pytest_cache"}
    | {"node_modules", "venv", "__pycache__", "site-packages"}
)


class Place(NamedTuple):
    """A directory, and files in it by their names relative to it, in order."""

    root: Path
    files: tuple[str, ...]
    unread: tuple[Unread, ...] = ()


def granted(path: str, context: Context) -> Path:
    """With all links followed. Raises SkillFailed where it may not be read, or is not there. What may not be read is
    not even looked for."""
    found = Path(path).resolve()
    fault = _fault(path, found, context)
    if fault:
        raise SkillFailed(fault, retryable=False)
    if not found.exists():
        raise SkillFailed(f"there is nothing at {path}", retryable=False)
    return found


def _fault(path: str, found: Path, context: Context) -> str:
    places, read = context.places, context.security.read
    if _is_kept(found, places):
        return f"{path} is in the data directory of the platform, which no skill reads"
    if places is not None and not _is_within(found, places.allowed):
        return f"{path} is not among what may be read here: the platform's setting skill_paths names the directories"
    if read is not None and not _is_within(found, read):
        return f"{path} is not among what may be read: the run grants other paths"
    return ""


def _is_within(found: Path, directories: Sequence[str]) -> bool:
    return any(found.is_relative_to(Path(each).resolve()) for each in directories)


def _is_kept(found: Path, places: Places | None) -> bool:
    return places is not None and _is_within(found, places.kept)


def files_of(
    path: str, context: Context, endings: Sequence[str] = (), names: Sequence[str] = (), most: int = MOST_FILES
) -> Place:
    """All files with one of these endings (none: all) below a path, or those of these `names` relative to it.

    Symbolic links, caches, installed packages and the insides of version control are left out of what is not named.
    Raises SkillFailed, with all names that are no files there, and for a single file with another ending.
    """
    root = granted(path, context)
    if root.is_file():
        if not root.name.endswith(tuple(endings) or ""):
            raise SkillFailed(f"{path} is none of {', '.join(endings)}", retryable=False)
        return _fitting(root.parent, [root.name], most)
    if not root.is_dir():
        raise SkillFailed(f"{path} is neither a file nor a directory", retryable=False)
    if not names:
        return _fitting(root, _below(root, tuple(endings), context.places), most)
    missing = [name for name in names if not _is_inside(root, name, context.places)]
    if missing:
        raise SkillFailed(f"no files of {path}: {', '.join(missing[:20])}", retryable=False)
    return _fitting(root, [name for name in sorted(set(names)) if name.endswith(tuple(endings) or "")], most)


def _fitting(root: Path, names: Sequence[str] | Iterator[str], most: int) -> Place:
    files, unread = list[str](), list[Unread]()
    for name in names:
        if len(files) >= most:
            unread.append(Unread(name, f"only {most} files are looked at"))
        elif (root / name).stat().st_size > LARGEST_FILE:
            unread.append(Unread(name, f"it has more than {LARGEST_FILE} bytes"))
        else:
            files.append(name)
    return Place(root, tuple(files), tuple(unread))


def _below(root: Path, endings: tuple[str, ...], places: Places | None) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        sources = sorted(each for each in folders if each not in _NOT_SOURCES)
        folders[:] = [each for each in sources if not _is_kept(Path(folder, each), places)]
        for name in sorted(files):
            file = Path(folder, name)
            if name.endswith(endings or "") and file.is_file() and not file.is_symlink():
                yield file.relative_to(root).as_posix()


def _is_inside(root: Path, name: str, places: Places | None) -> bool:
    file = (root / name).resolve()
    return file.is_relative_to(root) and not _is_kept(file, places) and file.is_file()
