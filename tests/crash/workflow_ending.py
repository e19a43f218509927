"""What must be true of the workflow of a case when it has ended, whatever was hit: on the log, and in PostgreSQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from domain import workflow
from domain.workflow import Call, Ended, NotStarted, Running, StepState
from eventstore.envelope import StreamId
from eventstore.streams import ask
from projections.queries import NotReached, ReadModels
from projections.workflow_calls import Invocation
from projections.workflows import Run, StepLine, workflows
from sagacity.wiring import Core
from skills.protocol import REPORTS, report_subject
from tests.crash.ending import assert_log_intact
from tests.crash.workflow_platform import WorkflowPlatform
from tests.crash.workflow_story import REMOTE, RESULT, TOLD, boundary

RUNS = ("run", "run-22", "run-27")
"""The run, and the sub-workflows that it asks for."""


class Story:
    """Of a case, as it stands on the log: the data of its events by run, and when the end of each call was decided."""

    def __init__(self) -> None:
        self.events: dict[str, list[Any]] = {}
        self.ends: list[tuple[str, float]] = []

    @classmethod
    async def of(cls, core: Core, case: str) -> Story:
        story = cls()
        for run in RUNS:
            events = await core.store.load(StreamId("workflow", f"{case}-{run}"), latest=True)
            story.events[run] = [core.store.decode(event) for event in events]
            story.ends += [
                (data.call, event.time.timestamp())
                for event, data in zip(events, story.events[run], strict=True)
                if isinstance(data, workflow.Succeeded | workflow.Failed)
            ]
        return story

    def states(self, run: str) -> tuple[Running, Ended]:
        """The last one before its end, and its end."""
        before = state = NotStarted()
        for data in self.events[run]:
            before, state = state, workflow.evolve(state, data)
        assert isinstance(before, Running)
        assert isinstance(state, Ended)
        return before, state


async def assert_right_end(core: Core, platform: WorkflowPlatform, case: str) -> None:
    """As without a crash: the result, all that is written, every effect under its one key; nothing of what is on
    record, as a report or in the run, was begun again."""
    story = await Story.of(core, case)
    _, ended = story.states("run")
    assert (ended.outcome, ended.output.inline, ended.cost) == ("completed", RESULT, TOLD.outcome.cost)
    written = [(run, boundary(data)) for run, events in story.events.items() for data in events]
    is_written, told = _but_leases(written), _but_leases(TOLD.events)
    assert is_written == told, f"too much: {is_written - told}; too little: {told - is_written}"
    assert max(Counter(call for call, _ in story.ends).values()) == 1, "one result of each call"
    done = platform.lines(case)
    calls = {f"{case}-{id}": skill for id, skill in TOLD.calls.items()}
    assert {call for call, *_ in done} == calls.keys(), "every effect under the key that it has without a crash"
    ends = dict(story.ends)
    for call, skill in calls.items():
        if skill in REMOTE:
            ends[call] = min(ends[call], await _reported(core, call))
    again = [(call, attempt) for call, attempt, at in done if at > ends[call]]
    assert again == [], f"what is on record was done again: {again}"
    await assert_log_intact(core)


@asynccontextmanager
async def read_models(core: Core, platform: WorkflowPlatform) -> AsyncGenerator[ReadModels]:
    """When they have come to the end of the log. Raises NotReached, and what asyncpg raises."""
    async with asyncpg.create_pool(platform.postgres.url, min_size=1, max_size=1) as pool:
        models = ReadModels(pool, core.store, [workflows])
        await models.wait_for(workflows.name, (await core.store.state()).last, 30)
        yield models


async def is_projected(core: Core, platform: WorkflowPlatform) -> bool:
    """The projector is there, and at work."""
    with suppress(asyncpg.PostgresError, NotReached):
        async with read_models(core, platform):
            return True
    return False


async def assert_read_model(core: Core, platform: WorkflowPlatform, case: str) -> None:
    """Rows of runs, steps and calls say what the states say that the log folds to, and count nothing twice."""
    story = await Story.of(core, case)
    async with read_models(core, platform) as models:
        for run in RUNS:
            before, ended = story.states(run)
            row = await models.row("workflows", f"{case}-{run}")
            found = await models.rows("workflows", table="invocations", filters={"run": row.id}, limit=100)
            rows = _of_row(row, found.items)
            states = _of_state(before, ended, story.events[run])
            wrong = {key: (rows.get(key), states.get(key)) for key in rows | states if rows.get(key) != states.get(key)}
            assert not wrong, f"(row, state): {wrong}"


def _but_leases(events: Iterable[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """A result that comes at once makes a lease superfluous, and another worker makes another one."""
    return Counter((run, what) for run, what in events if not what.startswith("leased "))


async def _reported(core: Core, call: str) -> float:
    """When the server stored the result that its worker gave."""
    answer = await ask(core.connection, f"STREAM.MSG.GET.{REPORTS}", {"last_by_subj": report_subject(call, 1)})
    return msgspec.convert(answer["message"]["time"], datetime).timestamp()


def _of_row(row: Run, calls: Iterable[Invocation]) -> dict[str, tuple[Any, ...]]:
    """By step and by call, and of the run by the empty word; `_of_state` gives the same."""
    steps = {name: _line(line) for name, line in row.steps.items()}
    return {"": (row.status, row.cost, row.output)} | steps | {each.id: _call(each) for each in calls}


def _of_state(state: Running, ended: Ended, events: Iterable[Any]) -> dict[str, tuple[Any, ...]]:
    output = ended.output if ended.outcome == "completed" else None
    steps = {name: _step(state, each) for name, each in state.states.items()}
    return {"": (ended.outcome, ended.cost, output)} | steps | _calls(state, events)


def _line(line: StepLine) -> tuple[Any, ...]:
    return line.status, line.round, line.calls, line.succeeded, line.failed, line.undone


def _step(state: Running, step: StepState) -> tuple[Any, ...]:
    came_to = Counter(state.calls[call].status for call in step.calls)
    succeeded, undone = came_to["succeeded"] + came_to["undone"], came_to["undone"]
    return step.status, step.round, len(step.calls), succeeded, came_to["failed"], undone


def _call(row: Invocation) -> tuple[Any, ...]:
    status = "undone" if row.undone_by else row.status
    return row.skill, status, row.attempts, row.failures, row.cost


def _calls(state: Running, events: Iterable[Any]) -> dict[str, tuple[Any, ...]]:
    attempts: dict[str, list[Any]] = {id: [] for id in state.calls}
    for data in events:
        if isinstance(data, workflow.Succeeded | workflow.Failed):
            attempts[data.call].append(data)
    return {id: _made(call, attempts[id]) for id, call in state.calls.items()}


def _made(call: Call, attempts: Sequence[Any]) -> tuple[Any, ...]:
    failures = sum(isinstance(each, workflow.Failed) for each in attempts)
    return call.skill, call.status, len(attempts), failures, sum(each.cost for each in attempts)
