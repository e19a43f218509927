"""Canaries judged again, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import click

from domain.analysis import Analysis, policy_version
from domain.counterfactual import Policy
from domain.rejudged import Rate, Recorded, Rejudged, Replayed, Summary, name_of
from domain.threshold import Threshold
from sagacity.cli.output import print_json, print_table

_WORDS: Final = {
    "roll_back": "rolled back",
    "promote": "promoted",
    "interrupted": "interrupted",
    "under_way": "under way",
    "unknown": "unknown",
}


class Line(NamedTuple):
    """A canary, whose it was, and where in the log and when it was requested."""

    stack_id: str
    environment_id: str
    version: str
    position: int
    requested_at: datetime
    canary: Rejudged


def identical(lines: Sequence[Line]) -> bool | None:
    """None: no canary was judged by the policy that it was recorded with."""
    checked = [line.canary.identical for line in lines if line.canary.identical is not None]
    return all(checked) if checked else None


def print_document(policy: Policy | None, lines: Sequence[Line], summary: Summary) -> None:
    print_json(
        {
            "policy": _declared(policy),
            "identical": identical(lines),
            "difference": _first_difference(lines),
            "summary": summary,
            "canaries": [
                {
                    "stack_id": line.stack_id,
                    "environment_id": line.environment_id,
                    "version": line.version,
                    "position": line.position,
                    "requested_at": line.requested_at,
                    **{name: getattr(line.canary, name) for name in line.canary.__struct_fields__},
                }
                for line in lines
            ],
        }
    )


def print_verdicts(lines: Sequence[Line], summary: Summary) -> None:
    columns = ("canary", "version", "recorded", "under the policy", "comparison")
    print_table(columns, [_row(line) for line in lines])
    changed = f": {', '.join(summary.changed)}" if summary.changed else ""
    click.echo(
        f"\n{_counted(summary.canaries, 'canary', 'canaries')}: {summary.same} decided the same, "
        f"{summary.unknown} unknown, {len(summary.changed)} changed{changed}"
    )
    click.echo(f"requests to canaries: {summary.requests.recorded} recorded; under the policy {_bounds(summary)}")
    click.echo(
        f"rolled back: {_percent(summary.recorded_rollbacks)} recorded; under the policy {_percent(summary.rollbacks)}"
    )
    same = identical(lines)
    if same is not None:
        click.echo("identical: true" if same else f"identical: false: {_first_difference(lines)}")


def _declared(policy: Policy | None) -> dict[str, Any] | None:
    match policy:
        case Analysis():
            return {"analysis": policy, "version": policy_version(policy)}
        case Threshold():
            return {"threshold": policy}
        case None:
            return None


def _first_difference(lines: Sequence[Line]) -> str | None:
    found = (f"{name_of(each.canary)}: {each.canary.difference}" for each in lines if each.canary.difference)
    return next(found, None)


def _row(line: Line) -> tuple[str, ...]:
    recorded, replayed = line.canary.recorded, line.canary.replayed
    compared = "same" if recorded.outcome == replayed.outcome else "changed"
    if replayed.outcome == "unknown":
        compared = f"unknown: {replayed.why}"
    return name_of(line.canary), line.version, _cell(recorded), _cell(replayed), compared


def _cell(state: Recorded | Replayed) -> str:
    least = "at least " if state.outcome in ("unknown", "under_way") else ""
    person = " by a person" if state.by == "person" else ""
    requests = f"{least}{_counted(state.requests, 'request', 'requests')}"
    look = "" if state.outcome == "unknown" else f" at look {state.look}"
    return f"{_WORDS[state.outcome]}{person}{look}, {requests}"


def _bounds(summary: Summary) -> str:
    requests = summary.requests
    if requests.at_most is None:
        return f"at least {requests.at_least} (--horizon N bounds them from above)"
    if requests.at_most == requests.at_least:
        return f"exactly {requests.at_least}"
    return f"{requests.at_least} to {requests.at_most}"


def _percent(rate: Rate) -> str:
    low, high = f"{100 * rate.at_least:.1f}", f"{100 * rate.at_most:.1f}"
    return f"{low} %" if rate.at_least == rate.at_most else f"{low} to {high} %"


def _counted(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
