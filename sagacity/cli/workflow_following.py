"""A run as it goes on, told live."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

from domain import workflow
from domain.workflow import Ended, NotStarted, Running
from sagacity.cli.connecting import ApiPlace, open_api
from sagacity.cli.following import LOOK, Following
from sagacity.cli.output import Advance, progress
from sagacity.cli.workflow_lines import event_of, run_line

_OVER: Final = frozenset({"succeeded", "failed", "skipped"})

End = Literal["completed", "failed", "cancelled", "paused"]
"""`paused`: nothing goes on before somebody deals with calls that are parked."""


async def follow_and_tell(target: ApiPlace, id: str, as_json: bool) -> End:
    """Until it has come to an end, and which. A question to a person is waited for. Raises UserError, also when there
    is no such run."""
    async with open_api(target) as api:
        with progress() as advance:
            following = Following(api, workflow.workflow, id, event_of, run_line, as_json=as_json)
            while True:
                await following.look()
                _advance(following.state, advance)
                if (end := end_of(following.state)) is not None:
                    return end
                await asyncio.sleep(LOOK)


def _advance(state: workflow.State, advance: Advance) -> None:
    if isinstance(state, Running):
        done = sum(step.status in _OVER for step in state.states.values())
        advance("steps", done, len(state.states))


def end_of(state: workflow.State) -> End | None:
    """None while something is under way, or a person or the clock is waited for."""
    match state:
        case NotStarted():
            return None
        case Ended(outcome=outcome):
            return outcome
        case Running(open=open):
            waits = any(
                each.status == "running" and (state.steps[name].approval or state.steps[name].wait)
                for name, each in state.states.items()
            )
            parked = bool(open) and all(state.calls[call].status == "parked" for call in open)
            return "paused" if parked and not waits else None
