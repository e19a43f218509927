"""What many reviewers found, as one."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from skills.offline.findings import Counts, Finding, counted, ranked, score, without_repeats
from skills.skill import Context, skill


class PartSummary(Struct, frozen=True):
    lines: int = 0


class Part(Struct, frozen=True):
    """What one reviewer gave; what else there is in it does not matter."""

    findings: tuple[Finding, ...] = ()
    reviewed: tuple[str, ...] = ()
    summary: PartSummary = PartSummary()


class Parts(Struct, frozen=True, forbid_unknown_fields=True):
    """A part that is null failed, and is counted as missing."""

    parts: tuple[Part | None, ...]


class Merged(Struct, frozen=True):
    """`findings` worst first, each once; `duplicates` were told more than once. `score` is between 0 and 100 (nothing
    found), None where no part says how many lines it has."""

    findings: tuple[Finding, ...]
    reviewed: tuple[str, ...]
    counts: Counts
    by_file: dict[str, int]
    by_tool: dict[str, int]
    duplicates: int
    missing: int
    lines: int
    score: float | None


@skill("merge_findings", capabilities=("aggregate", "findings"), effects=False)
def merge_findings(asked: Parts, context: Context) -> Merged:
    """Merges the findings of several reviews: each once, worst first, counted by severity, file and tool."""
    parts = [part for part in asked.parts if part is not None]
    every = [finding for part in parts for finding in part.findings]
    findings = ranked(without_repeats(every))
    lines = sum(part.summary.lines for part in parts)
    return Merged(
        findings,
        tuple(sorted({file for part in parts for file in part.reviewed})),
        counted(findings),
        dict(Counter(each.file for each in findings).most_common()),
        dict(Counter(each.tool for each in findings).most_common()),
        len(every) - len(findings),
        len(asked.parts) - len(parts),
        lines,
        score(findings, lines) if lines else None,
    )
