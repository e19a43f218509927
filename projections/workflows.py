"""Read model: runs of workflows, with their steps, and every call that they made."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from msgspec import Struct, structs

from domain import workflow
from domain.workflow import Parent, StepStatus, Value
from domain.workflow_definition import Step
from eventstore.envelope import Recorded
from projections.projection import Projection, Table, stream_id
from projections.workflow_calls import OfCall, invocations, shown

Status = Literal["running", "waiting", "paused", "compensating", "completed", "failed", "cancelled"]
"""`waiting`: for somebody's approval; `paused`: calls are parked."""

StepKind = Literal["skill", "workflow", "approval", "wait", "adaptive", "chain", "swarm", "hybrid"]
_OTHERS: Final[tuple[StepKind, ...]] = ("workflow", "approval", "wait", "adaptive", "chain", "swarm", "hybrid")
_OVER: Final = frozenset({"succeeded", "failed", "skipped"})


class StepLine(Struct, frozen=True, omit_defaults=True):
    """Of its `round`, the last one: `items` of its list, `calls` that were made, and what came of them. `undone` calls
    were compensated. `until`: what it waits for, a person or the clock, is over then. `plain`: its outcome is that of
    its one call, or what a person answers; else it is on the record by itself. `fallbacks` are skills that were asked,
    each with the one that had failed."""

    kind: StepKind
    status: StepStatus = "waiting"
    plain: bool = True
    items: int = 0
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    undone: int = 0
    round: int = 1
    turns: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    until: datetime | None = None
    reason: str = ""
    fallbacks: dict[str, str] = {}


class Question(Struct, frozen=True):
    """What a person is to decide; nobody by `until`, and it is decided without."""

    step: str
    question: str
    until: datetime | None


class UnderWay(Struct, frozen=True, omit_defaults=True):
    """A call that is not settled."""

    step: str
    skill: str
    status: Literal["requested", "leased", "retrying", "parked", "failed"] = "requested"
    attempt: int = 1
    undo: bool = False
    reason: str = ""


class Run(Struct, frozen=True, kw_only=True):
    """`definition` is empty, and its version 0, of one skill alone. `input` and `output` are shortened to their size
    where they are large; `ended_in` is the version of the history where the output stands whole. `under_way` are calls
    by their id."""

    id: str
    definition: str
    definition_version: int
    status: Status = "running"
    reason: str | None = None
    steps_total: int
    steps_done: int = 0
    parked: int = 0
    undone: int = 0
    cost: float = 0.0
    budget: float | None = None
    input: Value
    output: Value | None = None
    steps: dict[str, StepLine]
    waiting_for: list[Question] = []
    under_way: dict[str, UnderWay] = {}
    parent: str | None = None
    parent_call: str | None = None
    cancelling: bool = False
    actor: str
    correlation_id: str
    until: datetime | None = None
    started_at: datetime
    ended_at: datetime | None = None
    ended_in: int | None = None
    updated_at: datetime
    version: int
    position: int


OfStep = (
    workflow.StepStarted
    | workflow.StepSkipped
    | workflow.Chosen
    | workflow.Approved
    | workflow.Rejected
    | workflow.StepCompleted
    | workflow.StepFailed
)
Ending = workflow.Completed | workflow.RunFailed | workflow.Cancelled


def fold(row: Run | None, event: Recorded, data: workflow.Event) -> Run | None:
    if isinstance(data, workflow.Started):
        return _started(event, data)
    if row is None:
        return None
    now = structs.replace(row, updated_at=event.time, version=event.version, position=event.position)
    return _in_sum(_changed(now, event, data))


def _changed(now: Run, event: Recorded, data: workflow.Event) -> Run:
    if isinstance(data, OfStep):
        return _step(now, event, data)
    if isinstance(data, OfCall):
        return _call(now, event, data)
    match data:
        case workflow.Requested():
            return _requested(now, event, data)
        case workflow.Revised(step, steps=steps, round=round):
            again = {name: _again(now.steps[name], round if name == step else None) for name in steps}
            return _without_calls(structs.replace(now, steps=now.steps | again), set(steps))
        case workflow.CancelAsked(reason):
            return structs.replace(now, cancelling=True, reason=reason or None)
        case workflow.CompensationStarted(reason):
            return structs.replace(now, status="compensating", reason=reason, waiting_for=[])
        case workflow.Completed() | workflow.RunFailed() | workflow.Cancelled():
            return _ended(now, event, data)
        case workflow.Started():
            return now


def _started(event: Recorded, data: workflow.Started) -> Run:
    parent = data.parent or Parent("", "")
    return Run(
        id=event.stream.id,
        definition=data.definition,
        definition_version=data.version,
        steps_total=len(data.steps),
        steps={name: StepLine(kind_of(step), plain=_is_plain(step)) for name, step in data.steps.items()},
        budget=data.budget,
        input=shown(data.input),
        parent=parent.run or None,
        parent_call=parent.call or None,
        actor=event.envelope.actor,
        correlation_id=event.envelope.correlationid,
        until=data.until,
        started_at=event.time,
        updated_at=event.time,
        version=event.version,
        position=event.position,
    )


def kind_of(step: Step) -> StepKind:
    found: list[StepKind] = [kind for kind in _OTHERS if getattr(step, kind) is not None]
    return found[0] if found else "skill"


def _is_plain(step: Step) -> bool:
    return step.revise is None if step.approval is not None else workflow.is_one_call(step)


def _again(line: StepLine, round: int | None) -> StepLine:
    return StepLine(line.kind, plain=line.plain, round=round or line.round + 1)


def _step(now: Run, event: Recorded, data: OfStep) -> Run:
    match data:
        case workflow.StepStarted(step, count=count, question=question, until=until):
            asked = [Question(step, question, until)] if question else []
            begun = structs.replace(now, waiting_for=[*now.waiting_for, *asked])
            return _with(begun, step, status="running", items=count, until=until, started_at=event.time)
        case workflow.StepSkipped(step, reason):
            return _over(now, event, step, "skipped", reason)
        case workflow.Chosen(step, turn):
            first = now.steps[step].started_at or event.time
            return _with(now, step, status="running", turns=turn, started_at=first)
        case workflow.Approved(step, note):
            return _answered(now, event, step, "succeeded", note)
        case workflow.StepCompleted(step):
            return _over(now, event, step, "succeeded", "")
        case workflow.Rejected(step, note):
            return _answered(now, event, step, "failed", f"rejected: {note}".removesuffix(": "))
        case workflow.StepFailed(step, reason):
            return _over(now, event, step, "failed", reason)


def _answered(now: Run, event: Recorded, step: str, status: StepStatus, note: str) -> Run:
    """What may send work back is over only when it is known that it does not."""
    answered = _over(now, event, step, status, note)
    return answered if now.steps[step].plain else _with(answered, step, status="running", ended_at=None)


def _over(now: Run, event: Recorded, step: str, status: StepStatus, reason: str) -> Run:
    """Nothing is waited for there any more."""
    waiting = [question for question in now.waiting_for if question.step != step]
    over = _with(now, step, status=status, reason=reason, until=None, ended_at=event.time)
    return _without_calls(structs.replace(over, waiting_for=waiting), {step})


def _requested(now: Run, event: Recorded, data: workflow.Requested) -> Run:
    call = UnderWay(data.step, data.skill, undo=data.undo is not None)
    under_way = {id: each for id, each in now.under_way.items() if id != data.instead_of} | {data.call: call}
    changed = _with_fallback(structs.replace(now, under_way=under_way), data, now.under_way.get(data.instead_of or ""))
    if call.undo:
        return changed
    line = changed.steps[data.step]
    first = line.started_at or event.time
    return _with(changed, data.step, status="running", calls=line.calls + 1, started_at=first)


def _with_fallback(row: Run, data: workflow.Requested, failed: UnderWay | None) -> Run:
    """What is asked in place of a run that had failed is that workflow again."""
    if failed is None or failed.skill == data.skill:
        return row
    return _with(row, data.step, fallbacks=row.steps[data.step].fallbacks | {data.skill: failed.skill})


def _call(now: Run, event: Recorded, data: OfCall) -> Run:
    call = now.under_way.get(data.call)
    if call is None:
        return now
    match data:
        case workflow.Leased(_, attempt):
            return _under_way(now, data.call, status="leased", attempt=attempt)
        case workflow.Progressed():
            return now
        case workflow.Succeeded():
            return _succeeded(_spent(now, call, data), event, call, data)
        case workflow.Failed():
            return _failed(_spent(now, call, data), call, data)
        case workflow.Parked(_, reason):
            return _under_way(now, data.call, status="parked", reason=reason)
        case workflow.Retried():
            return _under_way(now, data.call, status="retrying", reason="")
        case workflow.Reattempted(_, attempt):
            return _under_way(now, data.call, status="requested", attempt=attempt)
        case workflow.GivenUp() | workflow.CallCancelled():
            return _settled(now, data.call)


def _succeeded(now: Run, event: Recorded, call: UnderWay, data: workflow.Succeeded) -> Run:
    line = now.steps[call.step]
    settled = _settled(now, data.call)
    if call.undo:
        return structs.replace(
            _with(settled, call.step, undone=line.undone + 1),
            undone=now.undone + 1,
        )
    counted = _with(settled, call.step, succeeded=line.succeeded + 1)
    return _over(counted, event, call.step, "succeeded", "") if line.plain else counted


def _failed(now: Run, call: UnderWay, data: workflow.Failed) -> Run:
    """For good where there is no other attempt; a fallback, or a person, may still take its place."""
    if data.retry_at is not None:
        return _under_way(now, data.call, status="retrying", attempt=data.attempt, reason=data.reason)
    failed = _under_way(now, data.call, status="failed", attempt=data.attempt, reason=data.reason)
    if call.undo:
        return failed
    return _with(failed, call.step, failed=now.steps[call.step].failed + 1)


def _spent(now: Run, call: UnderWay, data: workflow.Succeeded | workflow.Failed) -> Run:
    line = now.steps[call.step]
    spent = structs.replace(now, cost=now.cost + data.cost)
    return _with(spent, call.step, cost=line.cost + data.cost, seconds=line.seconds + data.seconds)


def _ended(now: Run, event: Recorded, data: Ending) -> Run:
    over = structs.replace(now, cost=data.cost, ended_at=event.time, ended_in=event.version, cancelling=False)
    over = structs.replace(over, waiting_for=[], under_way={})
    match data:
        case workflow.Completed(output):
            return structs.replace(over, status="completed", output=shown(output), reason=None)
        case workflow.RunFailed(reason, undone):
            return structs.replace(over, status="failed", reason=reason, undone=undone)
        case workflow.Cancelled(reason, undone):
            return structs.replace(over, status="cancelled", reason=reason or None, undone=undone)


def _in_sum(row: Run) -> Run:
    """What follows from steps and calls."""
    done = sum(line.status in _OVER for line in row.steps.values())
    parked = sum(call.status == "parked" for call in row.under_way.values())
    status: Status = row.status
    if status in ("running", "waiting", "paused"):
        status = "paused" if parked else "waiting" if row.waiting_for else "running"
    return structs.replace(row, status=status, steps_done=done, parked=parked)


def _with(row: Run, step: str, **changes: object) -> Run:
    return structs.replace(row, steps=row.steps | {step: structs.replace(row.steps[step], **changes)})


def _under_way(row: Run, call: str, **changes: object) -> Run:
    changed = structs.replace(row.under_way[call], **changes)
    return structs.replace(row, under_way=row.under_way | {call: changed})


def _settled(row: Run, call: str) -> Run:
    return structs.replace(row, under_way={id: each for id, each in row.under_way.items() if id != call})


def _without_calls(row: Run, steps: set[str]) -> Run:
    left = {id: each for id, each in row.under_way.items() if each.step not in steps or each.undo}
    return structs.replace(row, under_way=left)


workflows = Projection(
    "workflows",
    frozenset({"workflow"}),
    (
        Table(
            "workflows",
            Run,
            stream_id,
            fold,
            filters=(
                "status",
                "definition",
                "definition_version",
                "parent",
                "actor",
                "correlation_id",
                "started_at",
                "ended_at",
            ),
        ),
        invocations,
    ),
)
