"""What happens to skills and to runs of workflows, told to whatever has a `store`; and such runs made up at random."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from domain import skill, workflow, workflow_definition
from domain.skill import Specification
from domain.workflow import Value
from domain.workflow_definition import Approval, Compensation, Definition, Step
from eventstore.envelope import Context, StreamId

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STEPS = {
    "plan": Step(skill="planner"),
    "check": Step(skill="checker", needs=("plan",), each="steps.plan.output", compensate=Compensation("unchecker")),
    "agree": Step(approval=Approval("All right?"), needs=("check",)),
    "ship": Step(skill="shipper", needs=("agree",), on_failure="park"),
}
DEFINITION = Definition(STEPS, description="Plans, checks and ships")


async def tell(core: Any, category: str, id: str, *events: Struct, at: datetime | None = None) -> int:
    """As if it had been decided; the position of the last one."""
    stream = StreamId(category, id)
    version = len(await core.store.load(stream, latest=True))
    context = Context(time=at or datetime.now(UTC), actor="ann", correlation_id=f"c-{id}")
    return (await core.store.append(stream, version, events, context)).position


async def registered(core: Any, id: str, version: str = "1", *more: Struct, **changes: Any) -> None:
    offered = skill.Registered(Specification(version, **changes))
    await tell(core, "skill", id, offered, *([skill.Routed({version: 1})] if version == "1" else []), *more)


async def published(core: Any, id: str, definition: Definition = DEFINITION, version: int = 1) -> None:
    await tell(core, "workflow_definition", id, workflow_definition.Published(version, definition))


def started(definition: str = "release", steps: dict[str, Step] | None = None, **more: Any) -> workflow.Started:
    return workflow.Started(definition, 1, steps or STEPS, more.pop("input", Value({"of": "shop"})), **more)


def requested(run: str, number: int, step: str, of: str, **more: Any) -> workflow.Requested:
    given = more.pop("input", Value(number))
    version = more.pop("version", "1")
    return workflow.Requested(f"{run}-{number}", step, "skill", of, version, given, BEGAN + timedelta(hours=1), **more)


def leased(run: str, number: int, attempt: int = 1, worker: str = "w1") -> workflow.Leased:
    return workflow.Leased(f"{run}-{number}", attempt, worker)


def succeeded(run: str, number: int, output: Any = None, attempt: int = 1, **more: Any) -> workflow.Succeeded:
    return workflow.Succeeded(f"{run}-{number}", attempt, Value(output), "w1", **more)


def failed(run: str, number: int, reason: str = "broken", attempt: int = 1, **more: Any) -> workflow.Failed:
    return workflow.Failed(f"{run}-{number}", attempt, more.pop("kind", "error"), reason, worker="w1", **more)


def planned(run: str, items: int = 2) -> tuple[workflow.Event, ...]:
    """Up to the calls of `check`, which are numbered from 2."""
    return (
        started(),
        requested(run, 1, "plan", "planner"),
        leased(run, 1),
        succeeded(run, 1, list(range(items)), seconds=0.5, cost=0.25),
        workflow.StepStarted("check", Value(list(range(items))), items),
        *(requested(run, 2 + item, "check", "checker", item=item) for item in range(items)),
    )


def agreed(run: str, items: int = 2) -> tuple[workflow.Event, ...]:
    """Up to the call of `ship`, which has the number 9."""
    return (
        *planned(run, items),
        *(succeeded(run, 2 + item, "fine", seconds=1.0 + item, cost=0.5) for item in range(items)),
        workflow.StepCompleted("check", Value(["fine"] * items)),
        workflow.StepStarted("agree", question="All right?", until=BEGAN + timedelta(days=1)),
        workflow.Approved("agree", "looks good"),
        requested(run, 9, "ship", "shipper"),
    )


def any_run(chosen: random.Random, run: str) -> list[workflow.Event]:
    """Calls that go on at the same time, and fail, in whatever way."""
    steps = {f"s{number}": Step(skill=f"k{number}") for number in range(4)}
    events: list[workflow.Event] = [started(steps=steps)]
    for number, name in enumerate(chosen.sample(list(steps), 4), 1):
        events += [requested(run, number, name, f"k{name[1:]}"), leased(run, number)]
        for attempt in range(1, chosen.randint(1, 3)):
            events += [failed(run, number, attempt=attempt, retry_at=BEGAN), leased(run, number, attempt + 1)]
        events += chosen.choice(
            [
                [succeeded(run, number, number, seconds=chosen.random())],
                [failed(run, number), workflow.Parked(f"{run}-{number}", "broken")],
                [failed(run, number), workflow.Parked(f"{run}-{number}", "b"), workflow.Retried(f"{run}-{number}")],
                [failed(run, number), workflow.StepFailed(name, "broken")],
                [workflow.CallCancelled(f"{run}-{number}", "too late")],
            ]
        )
    ends = [workflow.Completed(Value("x" * 9_000), 1.0), workflow.RunFailed("broken"), workflow.Cancelled("enough")]
    return events + chosen.choice([[], [workflow.CancelAsked("enough")], *([end] for end in ends)])
