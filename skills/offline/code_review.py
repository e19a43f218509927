"""Review of Python code by ruff, bandit and metrics of its syntax trees."""

from __future__ import annotations

import ast
import tempfile
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from skills.offline import linting
from skills.offline.findings import Counts, Finding, Unread, counted, ranked, score, without_repeats
from skills.offline.measuring import FileMetrics, FunctionMetrics, file_metrics, functions_of
from skills.offline.places import Place, files_of
from skills.skill import Context, Security, SkillFailed, skill

Focus = Literal["security", "performance", "best_practices"]
ENDINGS: Final = (".py", ".pyi")
GIVEN: Final = "given.py"
"""What code is called that comes with the request."""

RULES: Final[Mapping[Focus, tuple[str, ...]]] = {
    "security": ("S", "PLE"),
    "performance": ("PERF", "C4", "ASYNC", "FURB"),
    "best_practices": ("F", "E4", "E7", "E9", "W6", "B", "A", "BLE", "N", "RET", "SIM", "PIE", "ARG"),
}


class Thresholds(Struct, frozen=True, forbid_unknown_fields=True):
    """What is more of it in a function is a finding, medium where it is twice as much."""

    complexity: Annotated[int, Meta(ge=1)] = 10
    lines: Annotated[int, Meta(ge=1)] = 60
    nesting: Annotated[int, Meta(ge=1)] = 4
    parameters: Annotated[int, Meta(ge=1)] = 7


class Review(Struct, frozen=True, forbid_unknown_fields=True):
    """What to review: the `source` itself, or what is at `path` (a file, or all Python files below a directory), there
    only the `files` named relative to it. `suppressions`: comments like `noqa` and `nosec` count."""

    path: str = ""
    files: tuple[str, ...] = ()
    source: Annotated[str, Meta(max_length=1_000_000)] = ""
    language: str = "python"
    focus: Annotated[tuple[Focus, ...], Meta(min_length=1)] = ("security", "performance", "best_practices")
    thresholds: Thresholds = Thresholds()
    suppressions: bool = True


class Summary(Struct, frozen=True):
    """`score` is between 0 and 100 (nothing found)."""

    files: int
    lines: int
    findings: Counts
    score: float


class Reviewed(Struct, frozen=True):
    """`findings`, worst first; `reviewed` are the files that were looked at; `remarks` are on the review itself."""

    findings: tuple[Finding, ...]
    reviewed: tuple[str, ...]
    unread: tuple[Unread, ...]
    metrics: tuple[FileMetrics, ...]
    summary: Summary
    remarks: tuple[str, ...] = ()


class Parsed(NamedTuple):
    file: str
    text: str
    tree: ast.Module


@skill(
    "code_review",
    capabilities=("code_review", "security", "performance", "best_practices", "python"),
    runs="process",
    scaling="queue_based",
    timeout=600.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def code_review(asked: Review, context: Context) -> Reviewed:
    """Reviews Python code for security, performance and best practices with ruff, bandit and metrics of the syntax
    tree; gives findings with file, line and severity, metrics of each file, and a score. Runs none of the code."""
    if asked.language != "python":
        raise SkillFailed(f"{asked.language} is not reviewed here, only python", retryable=False)
    if bool(asked.source) == bool(asked.path):
        raise SkillFailed("either path or source is to be given", retryable=False)
    if asked.path:
        return review(files_of(asked.path, context, ENDINGS, asked.files), asked, context)
    own = Security(context.security.actor)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, GIVEN).write_text(asked.source)
        return review(files_of(folder, replace(context, security=own, places=None), ENDINGS), asked, context)


def review(place: Place, asked: Review, context: Context) -> Reviewed:
    """Raises SkillFailed."""
    rules = sorted({rule for focus in asked.focus for rule in RULES[focus]} | {"E9"})
    found, unread = list(linting.ruff(place.root, place.files, rules, asked.suppressions)), list(place.unread)
    context.progress(0.4, "ruff")
    if "security" in asked.focus:
        issues, not_read = linting.bandit(place.root, place.files, asked.suppressions)
        found += issues
        unread += not_read
        context.progress(0.7, "bandit")
    metrics = list[FileMetrics]()
    for parsed in parse(place, found):
        measured = _measured(parsed)
        if isinstance(measured, Finding):
            found.append(measured)
            continue
        of_file, functions = measured
        metrics.append(of_file)
        if "best_practices" in asked.focus:
            found += weighed(parsed.file, functions, asked.thresholds)
    findings = ranked(without_repeats(found))
    lines = sum(each.source_lines for each in metrics)
    summary = Summary(len(place.files), lines, counted(findings), score(findings, lines))
    return Reviewed(findings, place.files, tuple(unread), tuple(metrics), summary)


def parse(place: Place, found: list[Finding]) -> Iterator[Parsed]:
    """The files that can be parsed. The others become findings, unless there is one that says so already; where Ruff
    took it, it is of a newer Python than this one."""
    broken = {each.file for each in found if each.rule in (linting.SYNTAX, linting.UNREADABLE)}
    for file in place.files:
        content = (place.root / file).read_bytes()
        try:
            text = decoded(content)
            yield Parsed(file, text, ast.parse(text))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            if file not in broken:
                line = error.lineno if isinstance(error, SyntaxError) and error.lineno else 1
                message = f"not measured, nor read by bandit: this Python does not parse it: {error}"
                found.append(Finding(file, line, "not-measured", "medium", message[:500], "ast"))


def decoded(content: bytes) -> str:
    """By its byte order mark or PEP 263. Raises SyntaxError, UnicodeDecodeError."""
    encoding, _ = tokenize.detect_encoding(BytesIO(content).readline)
    return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def _measured(parsed: Parsed) -> tuple[FileMetrics, tuple[FunctionMetrics, ...]] | Finding:
    try:
        functions = functions_of(parsed.tree)
        return file_metrics(parsed.file, parsed.text, parsed.tree, functions), functions
    except (RecursionError, SyntaxError) as error:
        message = f"not measured: {error or type(error).__name__}"
        return Finding(parsed.file, 1, "not-measured", "medium", message[:500], "metrics")


def weighed(file: str, functions: Sequence[FunctionMetrics], allowed: Thresholds) -> Iterator[Finding]:
    """What is more than it should be."""
    for each in functions:
        for rule, value, most in (
            ("complex-function", each.complexity, allowed.complexity),
            ("long-function", each.lines, allowed.lines),
            ("deep-nesting", each.nesting, allowed.nesting),
            ("many-parameters", each.parameters, allowed.parameters),
        ):
            if value > most:
                message = f"{each.name}: {rule.replace('-', ' ')}, {value} where {most} would do"
                yield Finding(file, each.line, rule, "medium" if value > 2 * most else "low", message, "metrics")
        if each.public and not each.documented:
            yield Finding(file, each.line, "no-docstring", "low", f"{each.name} has no docstring", "metrics")
