"""What a run wants of others, once it is on the record: calls given to the queues of their skills, sub-workflows begun
and called off, its own end told to the run that asked for it, circuits opened and closed.

Everything here may be done twice: each has an id of its own, under which it counts once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from domain import skill, workflow
from domain.workflow import Call, ChildEnded, Ended, Parent, Running
from domain.workflow_calls import depth_of, lineage
from domain.workflow_course import CallFailed
from domain.workflow_patterns import expanded
from eventstore.envelope import StreamId
from eventstore.errors import LogUnavailable, WriteTooLarge
from sagas.workflows.attempts import work_of
from sagas.workflows.means import WORKERS, Means, Origin
from sagas.workflows.values import ValueLost

log = logging.getLogger(__name__)

_REASON = 1_000


class Outside:
    """Of one run."""

    def __init__(self, means: Means, run: str) -> None:
        self._means = means
        self._run = run

    async def hand_over(self, id: str, call: Call, state: Running, origin: Origin) -> CallFailed | None:
        """A call to whoever does it, unless it was given to them before; why it cannot be made, if so.

        Raises LogUnavailable."""
        if self._means.told.get((id, call.attempt)):
            return None
        try:
            given = await self._means.values.get(call.input)
            if call.kind == "workflow":
                wrong = await self._begin(id, call, given, state, origin)
            else:
                wrong = await self._queue(id, call, given, state, origin)
        except (ValueLost, WriteTooLarge) as error:
            wrong = CallFailed(id, call.attempt, "error", str(error)[:_REASON], retryable=False)
        if wrong is None:
            self._means.told.put((id, call.attempt), True)
        return wrong

    async def _queue(self, id: str, call: Call, given: Any, state: Running, origin: Origin) -> CallFailed | None:
        specification = self._means.known.specification(call.skill, call.version)
        faults = self._means.checks.faults(specification.input, given) if specification is not None else []
        if faults:
            return _invalid(id, call, faults)
        await self._means.queue.put(work_of(self._run, id, call, state, origin))
        return None

    async def _begin(self, id: str, call: Call, given: Any, state: Running, origin: Origin) -> CallFailed | None:
        """The run of a sub-workflow, which has the id of the call."""
        known = self._means.known.definitions.states.get(call.skill)
        definition = known.versions.get(int(call.version)) if known is not None else None
        if definition is None:
            reason = f"there is no version {call.version} of a workflow {call.skill}"
            return CallFailed(id, call.attempt, "refused", reason, retryable=False)
        faults = self._means.checks.faults(definition.input, given)
        if faults:
            return _invalid(id, call, faults)
        steps = expanded(definition)
        await self._means.known.look(steps, {})
        until = self._means.clock() + timedelta(seconds=definition.timeout) if definition.timeout else None
        begin = workflow.Begin(
            call.skill,
            int(call.version),
            steps,
            call.input,
            definition.output,
            until,
            state.context,
            state.grants,
            call.policy.budget if call.policy.budget is not None else _left(state),
            Parent(self._run, id, depth_of(state) + 1, lineage(state)),
            self._means.known.pinned(steps),
        )
        category, command_id = workflow.workflow.category, _command_id("begin", id)
        refused = await self._means.tell(category, id, begin, command_id, origin, as_origin=True)
        if refused is not None:
            return CallFailed(id, call.attempt, "refused", refused[:_REASON], retryable=False)
        return None

    async def tell_parent(self, state: Ended, origin: Origin) -> None:
        """Raises LogUnavailable."""
        if state.parent is None:
            return
        ended = ChildEnded(state.parent.call, state.outcome, state.output, state.reason, state.cost)
        category = workflow.workflow.category
        refused = await self._means.tell(category, state.parent.run, ended, _command_id("ended", self._run), origin)
        if refused is not None:
            log.info("run %s is not waited for any more by %s: %s", self._run, state.parent.run, refused)

    async def call_off(self, calls: Iterable[str], origin: Origin) -> None:
        """Sub-workflows that nobody waits for any more. Raises LogUnavailable."""
        for id in calls:
            cancel = workflow.Cancel(f"the run {self._run} does not wait for it any more")
            await self._means.tell(workflow.workflow.category, id, cancel, _command_id("cancel", id), origin)

    async def take_from_queues(self, events: Iterable[workflow.Event], before: Mapping[str, Call]) -> None:
        """Attempts that nobody waits for any more, that no worker begins them. `before` the events."""
        await self._call_off_queued(not_waited_for(events, before), before)

    async def make_up(self, state: workflow.State) -> list[str]:
        """For what whoever had the run before may not have done: a crash may have come between writing that calls are
        given up and telling so. Attempts are taken from the queues; sub-workflows that are to be called off are
        returned. Read from the log. Raises LogUnavailable."""
        if isinstance(state, Running) and not any(self._may_be_given_up(call) for call in state.calls.values()):
            return []
        calls: Mapping[str, Call] = {}
        over: list[tuple[str, int]] = []
        given_up: list[str] = []
        after: workflow.State = workflow.NotStarted()
        for event in await self._means.store.load(StreamId(workflow.workflow.category, self._run), latest=True):
            data = self._means.store.decode(event)
            over += not_waited_for([data], calls)
            given_up += given_up_in([data], calls)
            after = workflow.evolve(after, data)
            calls = after.calls if isinstance(after, Running) else calls
        await self._call_off_queued(over, calls)
        return given_up

    def _may_be_given_up(self, call: Call) -> bool:
        """One attempt of it at least, that somebody outside was asked for."""
        if call.kind == "skill" and (call.skill, call.version) in self._means.local:
            return False
        return call.attempt > 1 or call.status not in ("requested", "leased", "succeeded")

    async def _call_off_queued(self, over: Iterable[tuple[str, int]], calls: Mapping[str, Call]) -> None:
        local, queue = self._means.local, self._means.queue
        queued = [each for each in over if (calls[each[0]].skill, calls[each[0]].version) not in local]
        await asyncio.gather(*(queue.call_off(id, attempt) for id, attempt in queued))

    async def tell_skills(self, events: Sequence[workflow.Event], calls: Mapping[str, Call], origin: Origin) -> None:
        """What came of calls, where it opens or closes a circuit. What is not told now is told by the next failure."""
        now = self._means.clock()
        known = self._means.known.skills.states
        for name, command in self._means.circuits.heard(events, calls, known, now):
            try:
                id = _circuit_id(name, command, known[name])
                await self._means.tell(skill.skill.category, name, command, id, origin)
            except (LogUnavailable, WriteTooLarge) as error:
                log.warning("the circuit of %s is not on the record: %s", name, error)


def given_up_in(events: Iterable[workflow.Event], calls: Mapping[str, Call]) -> list[str]:
    """Sub-workflows."""
    return [
        event.call
        for event in events
        if isinstance(event, workflow.CallCancelled) or (isinstance(event, workflow.Failed) and event.kind == "timeout")
        if (call := calls.get(event.call)) is not None and call.kind == "workflow"
    ]


def not_waited_for(events: Iterable[workflow.Event], before: Mapping[str, Call]) -> list[tuple[str, int]]:
    """Attempts of skills that were asked for `before` the events. What ran out of time in the hands of a worker is not
    among them: its late result is as good as one of the next attempt."""
    found = [
        (event.call, call.attempt)
        for event in events
        if isinstance(event, workflow.CallCancelled | workflow.Failed | workflow.Succeeded)
        if (call := before.get(event.call)) is not None and call.kind == "skill" and not call.worker.startswith(WORKERS)
        if call.status in ("requested", "leased") and _is_pointless(event, call)
    ]
    return list(dict.fromkeys(found))


def _is_pointless(event: workflow.CallCancelled | workflow.Failed | workflow.Succeeded, call: Call) -> bool:
    match event:
        case workflow.CallCancelled():
            return True
        case workflow.Failed(kind=kind):
            return kind == "unserved"
        case workflow.Succeeded(attempt=attempt):
            return attempt < call.attempt


def _invalid(id: str, call: Call, faults: Sequence[str]) -> CallFailed:
    reason = f"the input is not what {call.skill} takes: {'; '.join(faults)}"[:_REASON]
    return CallFailed(id, call.attempt, "invalid", reason, retryable=False)


def _left(state: Running) -> float | None:
    """Of the budget, for what was asked for before shares of it were given."""
    return None if state.budget is None else max(0.0, state.budget - state.cost)


def _command_id(what: Literal["begin", "cancel", "ended"], of: str) -> str:
    """Of what is told for a call or a run: nothing that people would call a command of theirs."""
    return f"workflow-{hashlib.sha256(f'{what} {of}'.encode()).hexdigest()[:32]}"


def _circuit_id(name: str, command: skill.OpenCircuit | skill.CloseCircuit, known: skill.Known) -> str:
    """The same for the same opening, and for the same closing of an opening, whoever sees it."""
    match command:
        case skill.OpenCircuit(version, _, until):
            what = f"open {version} {until.isoformat()}"
        case skill.CloseCircuit(version):
            opened = known.versions[version].open_until
            what = f"close {version} {opened.isoformat() if opened is not None else ''}"
    return f"circuit-{hashlib.sha256(f'{name} {what}'.encode()).hexdigest()[:32]}"
