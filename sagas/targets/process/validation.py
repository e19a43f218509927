"""Whether a release could run on this machine: everything that is wrong with it, at once."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sagas.targets.port import Release, TargetRefused

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME")


def base_environment() -> dict[str, str]:
    """What every release gets of the host's own environment; nothing else, so no secret of the platform."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def program_path(release: Release) -> str | None:
    """The absolute path of the program, found as a shell in the working directory would find it."""
    program = Path(release.program)
    if len(program.parts) == 1 and not program.is_absolute():
        path = {**base_environment(), **release.environment}.get("PATH", os.defpath)
        return shutil.which(release.program, path=path)
    if not program.is_absolute() and release.working_directory is None:
        return None
    return shutil.which(str(Path(release.working_directory or "/") / program))


def validate(release: Release) -> None:
    """Raises TargetRefused with every fault."""
    checks = (_nul_bytes, _program, _directory, _environment, _health_path)
    faults = [fault for check in checks for fault in check(release)]
    if faults:
        raise TargetRefused(faults)


def _nul_bytes(release: Release) -> Iterator[str]:
    texts = {"program": release.program, "working directory": release.working_directory or ""}
    texts |= {f"argument {number}": text for number, text in enumerate(release.arguments, 1)}
    texts |= {f"environment variable {name!r}": text for name, text in release.environment.items()}
    yield from (f"the {what} holds a NUL byte" for what, text in texts.items() if "\0" in text)


def _program(release: Release) -> Iterator[str]:
    if "\0" in release.program + (release.working_directory or "") + release.environment.get("PATH", ""):
        return  # already a fault, and not to be looked for on the disk
    if not release.program:
        yield "there is no program"
    elif program_path(release) is None:
        if "/" in release.program and not release.program.startswith("/") and release.working_directory is None:
            yield f"the program {release.program!r} is relative, but there is no working directory"
        elif Path(release.working_directory or "/", release.program).exists():
            yield f"the program {release.program!r} is not an executable file"
        else:
            yield f"there is no program {release.program!r}"


def _directory(release: Release) -> Iterator[str]:
    if release.working_directory is None or "\0" in release.working_directory:
        return
    directory = Path(release.working_directory)
    if not directory.is_absolute():
        yield f"the working directory {release.working_directory!r} is not absolute"
    elif not directory.is_dir():
        yield f"there is no working directory {release.working_directory!r}"


def _environment(release: Release) -> Iterator[str]:
    for name in release.environment:
        if not _VARIABLE.fullmatch(name):
            yield f"{name!r} is not the name of an environment variable"
        elif name == "PORT":
            yield "the environment variable PORT is given by the target"


def _health_path(release: Release) -> Iterator[str]:
    if not release.health_path.startswith("/"):
        yield f"the health path {release.health_path!r} does not start with /"
    elif re.search(r"[\s\x00-\x1f\x7f]", release.health_path):
        yield f"the health path {release.health_path!r} holds blanks or control characters"
