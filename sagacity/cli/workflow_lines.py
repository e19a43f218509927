"""What is printed of a run's events, a line each, in the markup of rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from rich.markup import escape

from domain import workflow

_TYPES: Final[dict[str, type[workflow.Event]]] = {
    str(each.__struct_config__.tag): each for each in get_args(workflow.Event)
}

_Call = (
    workflow.Requested
    | workflow.Leased
    | workflow.Progressed
    | workflow.Succeeded
    | workflow.Failed
    | workflow.Reattempted
    | workflow.Parked
    | workflow.Retried
    | workflow.GivenUp
    | workflow.CallCancelled
)
_End = (
    workflow.Completed | workflow.RunFailed | workflow.Cancelled | workflow.CancelAsked | workflow.CompensationStarted
)


def event_of(document: Mapping[str, Any]) -> workflow.Event | None:
    """A run's event as the API shows it; None: one of a later program."""
    found = _TYPES.get(document["type"])
    return None if found is None else msgspec.convert(document["data"], found)


def run_line(event: workflow.Event) -> str:
    """Empty for what another line says already."""
    if isinstance(event, _Call):
        return _call_line(event)
    if isinstance(event, _End):
        return _end_line(event)
    match event:
        case workflow.Started(definition, version, steps):
            asked = ", ".join(step.skill for step in steps.values() if step.skill) or "one skill"
            of = f"{definition} {version}" if definition else asked
            return escape(f"started: {of}, {len(steps)} steps")
        case workflow.StepStarted(step, question=question, count=count, until=until):
            by = f", by {until:%Y-%m-%d %H:%M}" if until else ""
            if question:
                return f"[yellow]{escape(f'{step} asks{by}: {question}')}[/yellow]"
            return escape(f"{step}: {f'{count} items' if count else 'begins'}{by}")
        case workflow.StepSkipped(step, reason):
            return f"[dim]{escape(f'{step} is skipped: {reason}')}[/dim]"
        case workflow.Chosen(step, turn, scores, skill, reason):
            of = f" of {', '.join(f'{name} ({score:g})' for name, score in scores.items())}" if scores else ""
            return escape(f"{step}, turn {turn}: {skill or 'nobody'}{of}: {reason}")
        case workflow.Approved(step, note, by_default) | workflow.Rejected(step, note, by_default):
            said = "approved" if isinstance(event, workflow.Approved) else "rejected"
            return escape(
                f"{step} is {said}{', for nobody answered' if by_default else ''}{f': {note}' if note else ''}"
            )
        case workflow.StepCompleted(step):
            return f"[green]{escape(step)} is done[/green]"
        case workflow.StepFailed(step, reason):
            return f"[red]{escape(f'{step} has failed: {reason}')}[/red]"
        case workflow.Revised(step, back_to, round=round):
            return escape(f"{step} sends the work back to {back_to}: round {round}")


def _call_line(event: _Call) -> str:
    match event:
        case workflow.Requested(call, step, _, skill, version, undo=undo, instead_of=instead, item=item):
            what = f"{step} {item}" if item >= 0 else step
            why = f", to undo {undo}" if undo else f", instead of {instead}" if instead else ""
            return escape(f"{what}: {skill} {version} is asked ({call}{why})")
        case workflow.Progressed(call, _, fraction, note):
            return escape(f"{call}: {100 * fraction:.0f} %{f', {note}' if note else ''}")
        case workflow.Succeeded(call, seconds=seconds):
            return f"[green]{escape(call)} has succeeded[/green]{f' in {seconds:.3g} s' if seconds else ''}"
        case workflow.Failed(call, attempt, _, reason, retry_at):
            again = f"; again at {retry_at:%H:%M:%S}" if retry_at else ""
            return f"[red]{escape(f'{call}, attempt {attempt}: {reason}{again}')}[/red]"
        case workflow.Parked(call, reason):
            return f"[red]{escape(f'{call} is parked: {reason}')}[/red]"
        case workflow.Retried(call):
            return escape(f"{call} is tried again by hand")
        case workflow.GivenUp(call, reason) | workflow.CallCancelled(call, reason):
            return escape(f"{call} is {'given up' if isinstance(event, workflow.GivenUp) else 'cancelled'}: {reason}")
        case workflow.Leased() | workflow.Reattempted():
            return ""


def _end_line(event: _End) -> str:
    match event:
        case workflow.CancelAsked(reason):
            return escape(f"is to be cancelled{f': {reason}' if reason else ''}")
        case workflow.CompensationStarted(reason):
            return escape(f"what was done is undone: {reason}")
        case workflow.Completed(_, cost):
            return f"[green]completed[/green]{f', cost {cost:g}' if cost else ''}"
        case workflow.RunFailed(reason, undone):
            return f"[red]{escape(f'failed: {reason}')}[/red]{f' ({undone} undone)' if undone else ''}"
        case workflow.Cancelled(reason, undone):
            return escape(f"cancelled{f': {reason}' if reason else ''}{f' ({undone} undone)' if undone else ''}")
