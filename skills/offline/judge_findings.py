"""Whether a review is good enough: of the review, not of the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from skills.offline.findings import SEVERITIES
from skills.skill import Context, skill

_TOLD = 20
"""Remarks of one kind; of the others only their number is."""


class Judging(Struct, frozen=True, forbid_unknown_fields=True):
    """A review, by whomever it was made: `findings` are taken as they are. `listed` are the files that were to be
    reviewed, `reviewed` those that were. `least_share` of the files must have been reviewed."""

    findings: tuple[dict[str, Any], ...]
    reviewed: tuple[str, ...]
    listed: tuple[str, ...]
    least_share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    suggestions: bool = False


class Judged(Struct, frozen=True):
    """`accepted` only without `remarks`, which say what is to be done better. `sound` is the share of findings without
    fault, `covered` that of the files."""

    accepted: bool
    remarks: tuple[str, ...]
    sound: float
    covered: float


@skill("judge_findings", capabilities=("quality_assurance", "findings"), effects=False)
def judge_findings(asked: Judging, context: Context) -> Judged:
    """Accepts a review only if every file that was listed was reviewed, and every finding has a file that was, a line,
    a severity, a rule and a message (and a suggestion where these are asked for), and none is told twice."""
    faults = [list(_faults(finding, asked)) for finding in asked.findings]
    remarks = [f"finding {number}: {', '.join(each)}" for number, each in enumerate(faults, 1) if each]
    listed, reviewed = set(asked.listed), set(asked.reviewed)
    covered = len(listed & reviewed) / len(listed) if listed else 1.0
    if covered < asked.least_share:
        missing = sorted(listed - reviewed)
        remarks.append(f"{len(missing)} of {len(listed)} files were not reviewed: {', '.join(missing[:_TOLD])}")
    foreign = sorted(reviewed - listed)
    if foreign:
        remarks.append(f"reviewed, but not listed: {', '.join(foreign[:_TOLD])}")
    remarks += _repeats(asked)
    sound = sum(not each for each in faults) / len(faults) if faults else 1.0
    told = (*remarks[:_TOLD], f"and {len(remarks) - _TOLD} more") if len(remarks) > _TOLD else tuple(remarks)
    return Judged(not remarks, told, round(sound, 4), round(covered, 4))


def _faults(finding: Mapping[str, Any], asked: Judging) -> Iterator[str]:
    file, line = finding.get("file"), finding.get("line")
    if not _said(file):
        yield "no file"
    elif file not in asked.reviewed:
        yield f"its file {str(file)[:200]} was not reviewed"
    if not isinstance(line, int) or isinstance(line, bool) or line < 1:
        yield "no line"
    if finding.get("severity") not in SEVERITIES:
        yield "no severity of low, medium and high"
    for name in ("rule", "message", *(("suggestion",) if asked.suggestions else ())):
        if not _said(finding.get(name)):
            yield f"no {name}"


def _said(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _repeats(asked: Judging) -> Iterator[str]:
    names = ("file", "line", "rule", "tool", "message")
    told = Counter(tuple(str(each.get(name)) for name in names) for each in asked.findings)
    for (file, line, rule, *_), times in told.items():
        if times > 1:
            yield f"{rule} at {file}:{line} is told {times} times"
