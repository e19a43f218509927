"""What becomes of a run with which the engine itself cannot go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from domain.workflow import CallCancelled, CompensationStarted, Event, RunFailed, Running

_REASON: Final = 1_000
_GIVEN_UP: Final = "the run has failed"


def failed(state: Running, reason: str) -> Sequence[Event]:
    """What was done is undone first, where that has not begun yet. Where it has, what has stopped it would do so again
    and again: the run ends, and says of how many calls the effect stands."""
    ends = [CallCancelled(id, _GIVEN_UP) for id in state.open]
    left = _not_undone(state)
    if left and state.compensating is None:
        return [CompensationStarted(reason[:_REASON], "failed"), *ends]
    undone = sum(call.status == "undone" for call in state.calls.values())
    return [*ends, RunFailed(_told(state, reason, left), undone, state.cost)]


def _not_undone(state: Running) -> int:
    """Calls that have succeeded and whose steps say how they are taken back."""
    return sum(
        call.status == "succeeded" and call.undo is None and state.steps[call.step].compensate is not None
        for call in state.calls.values()
    )


def _told(state: Running, reason: str, left: int) -> str:
    if state.compensating is None:
        return reason[:_REASON]
    end = f"; {left} {'call was' if left == 1 else 'calls were'} not undone"
    return f"{reason}; it was being undone for: {state.compensating}"[: _REASON - len(end)] + end
