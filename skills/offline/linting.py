"""Ruff and bandit on given files, without the configuration of whose files they are."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from skills.offline.findings import Finding, Severity, Unread
from skills.skill import SkillFailed

_AT_A_TIME: Final = 200
"""Files in one command line."""

_TARGET: Final = "py314"
"""What newer Python takes is no error."""

SYNTAX: Final = "invalid-syntax"
UNREADABLE: Final = "E902"
_HIGH: Final = frozenset(
    {UNREADABLE, "F821", "F822", "F823", "F502", "F507", "F632", "F702", "F704", "F706", "B909"}
    | {"S102", "S307", "S501", "S506", "S602", "S604", "S605"}
)
_MEDIUM: Final = ("S", "B", "A00", "BLE", "F5", "F7", "F81", "PLE", "ASYNC")
_LOW: Final = frozenset({"S101", "S110", "S112", "S311", "S403", "S404", "S603", "S607", "B905", "B007"})


class _Place(Struct):
    row: int


class _Diagnostic(Struct):
    filename: str
    message: str
    location: _Place
    code: str | None = None


def ruff(root: Path, files: Sequence[str], rules: Sequence[str], suppressions: bool = True) -> Iterator[Finding]:
    """`suppressions`: whether comments in the code can silence it. Code can be so deep that it ends Ruff (its stack
    overflows): that file is looked for, and is a finding. Raises SkillFailed."""
    waiting = [files[begin : begin + _AT_A_TIME] for begin in range(0, len(files), _AT_A_TIME)]
    while waiting:
        part = waiting.pop()
        try:
            for each in _ruff(root, part, rules, suppressions):
                file = Path(each.filename).relative_to(root).as_posix()
                code = each.code or SYNTAX
                yield Finding(file, max(each.location.row, 1), code, severity_of(code), each.message[:1_000], "ruff")
        except _Ended as ended:
            if len(part) > 1:
                waiting += [part[: len(part) // 2], part[len(part) // 2 :]]
            else:
                yield Finding(part[0], 1, "not-linted", "medium", f"Ruff cannot read it: {ended}"[:500], "ruff")


def severity_of(code: str) -> Severity:
    """Ruff does not rank its rules: high is what fails or can be taken over, medium what is probably wrong."""
    if code == SYNTAX or code in _HIGH:
        return "high"
    return "medium" if code.startswith(_MEDIUM) and code not in _LOW else "low"


class _Ended(Exception):
    """By a signal."""


def _ruff(root: Path, files: Sequence[str], rules: Sequence[str], suppressions: bool) -> list[_Diagnostic]:
    """Raises _Ended, SkillFailed."""
    from ruff import find_ruff_bin

    command = [find_ruff_bin(), "check", "--output-format", "json", "--no-cache", "--isolated", "--quiet"]
    command += ["--target-version", _TARGET, "--select", ",".join(rules)]
    command += [] if suppressions else ["--ignore-noqa"]
    try:
        ended = subprocess.run(
            [*command, "--", *(str(root / file) for file in files)],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SkillFailed(f"ruff did not run: {error}") from error
    if ended.returncode < 0:
        raise _Ended(ended.stderr.decode(errors="replace").strip()[-200:] or f"signal {-ended.returncode}")
    if ended.returncode not in (0, 1):
        raise SkillFailed(f"ruff failed: {ended.stderr.decode(errors='replace')[:500]}")
    return msgspec.json.decode(ended.stdout, type=list[_Diagnostic])


def bandit(root: Path, files: Sequence[str], suppressions: bool = True) -> tuple[list[Finding], list[Unread]]:
    """What it was not sure of is one severity lower. Files that it could not read are not among those of a syntax
    error, which ruff tells."""
    from bandit.core.config import BanditConfig
    from bandit.core.manager import BanditManager

    for name in ("bandit", "stevedore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    manager: Any = BanditManager(BanditConfig(), "file", ignore_nosec=not suppressions)
    manager.files_list = [str(root / file) for file in files]
    manager.run_tests()
    found = [
        Finding(
            Path(each.fname).relative_to(root).as_posix(),
            each.lineno,
            each.test_id,
            _of_bandit(each.severity, each.confidence),
            _without_secrets(each.test_id, each.text)[:1_000],
            "bandit",
        )
        for each in manager.get_issue_list()
    ]
    unread = [
        Unread(Path(file).relative_to(root).as_posix(), f"not read by bandit: {reason}")
        for file, reason in manager.skipped
        if "syntax error" not in reason
    ]
    return found, unread


def _without_secrets(rule: str, text: str) -> str:
    """Bandit says what the password is; a finding is on record for good."""
    return text.partition(":")[0] if rule in ("B105", "B106", "B107") else text


def _of_bandit(severity: str, confidence: str) -> Severity:
    match severity, confidence:
        case "HIGH", "LOW":
            return "medium"
        case "HIGH", _:
            return "high"
        case "MEDIUM", "MEDIUM" | "HIGH":
            return "medium"
        case _:
            return "low"
