"""A run of a workflow: every call of a skill with what went in and came out, every choice, in one stream.

A run of one skill alone is a workflow of one step. Only one process works on a run at a time; it writes what `advance`
and `take` (domain/workflow_course.py) decide, and what is to be done outside follows from the state alone.

Calls are numbered through the run: `<run>-<number>` is the id of a call, the key under which doing it twice has one
effect, the id of the run of a sub-workflow, and where a worker reports to.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field, structs

from domain.decider import ID, Decider, Refusal
from domain.skill import Cost, Isolation, Name, RetryPolicy, VersionName
from domain.workflow_definition import Step
from domain.workflow_patterns import written_out
from domain.workflow_request import differing, marks

Id = Annotated[str, Meta(pattern=ID)]
LARGEST_INLINE = 256 * 1024
"""Bytes of JSON in an event; what is larger stands in the object store."""
LONGEST_ID = 80
"""The ids of calls, and of what they start, grow from the run's."""


class Value(Struct, frozen=True, omit_defaults=True):
    """JSON: `inline`, or by the SHA-256 of its text in the object store, with its size in bytes."""

    inline: Any = None
    hash: str = ""
    size: int = 0


class Grants(Struct, frozen=True, forbid_unknown_fields=True):
    """The security context of a run: what the calls of it may do. None: whatever the skill may."""

    skills: tuple[Name, ...] | None = None
    network: bool | None = None
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None


class Parent(Struct, frozen=True):
    """The run, and its call, that asked for this one; `depth`: how many runs this one is within, and `within` their
    definitions, the outermost first."""

    run: str
    call: str
    depth: int = 1
    within: tuple[str, ...] = ()


class Policy(Struct, frozen=True, omit_defaults=True):
    """What was decided for a call when it was asked for: seconds, what is done when it fails, and what it costs apart
    from what is reported. `budget`: what a sub-workflow was given of that of its run."""

    timeout: float = 60.0
    queue_timeout: float = 86_400.0
    lease: float = 30.0
    retry: RetryPolicy = RetryPolicy()
    fallback: str | None = None
    isolation: Isolation | None = None
    effects: bool = True
    cost: Cost = Cost()
    budget: float | None = None


# People and sub-workflows say these; everything else in the stream is written by whoever works on the run.
class Start(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.start"):
    """`definition` by name, of `version` or the latest. `context`: what the user's skills are to know, apart from the
    input. `budget` (None: no limit): no skill is asked that costs more per call than is left of it; what skills cost
    per second, or report themselves, is added when they are over, and nothing more is asked for when it is spent."""

    definition: Id
    version: Annotated[int, Meta(ge=1)] | None = None
    input: Any = None
    context: dict[str, Any] = {}
    grants: Grants = Grants()
    budget: Annotated[float, Meta(ge=0)] | None = None


class Invoke(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.invoke"):
    """One skill alone. One that has failed for good is parked where `park` says so."""

    skill: Name
    version: VersionName | None = None
    input: Any = None
    timeout: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    retry: RetryPolicy | None = None
    park: bool = True
    context: dict[str, Any] = {}
    grants: Grants = Grants()
    budget: Annotated[float, Meta(ge=0)] | None = None


class Begin(Struct, frozen=True, tag="workflow.begin"):
    """What Start and Invoke come to with everything looked up, and how a sub-workflow is started. `pinned`: versions
    of workflows that steps name without one; what is not there yet is taken as it is when it is asked for."""

    definition: str
    version: int
    steps: dict[str, Step]
    input: Value
    output: Any = None
    until: datetime | None = None
    context: dict[str, Any] = {}
    grants: Grants = Grants()
    budget: float | None = None
    parent: Parent | None = None
    pinned: dict[str, int] = {}


class Approve(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.approve"):
    step: Annotated[str, Meta(max_length=100)]
    note: Annotated[str, Meta(max_length=2_000)] = ""


class Reject(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.reject"):
    step: Annotated[str, Meta(max_length=100)]
    note: Annotated[str, Meta(max_length=2_000)] = ""


class Cancel(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.cancel"):
    """Nothing new begins; what has succeeded and can be undone is undone."""

    reason: Annotated[str, Meta(max_length=1_000)] = ""


class Retry(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.retry"):
    """Parked calls are tried again, with all their attempts: one, or without `call` every one of the run. A
    sub-workflow is begun anew, as a call of its own."""

    call: Annotated[str, Meta(max_length=128)] | None = None


class GiveUp(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.give_up"):
    """A parked call has failed for good; a compensation that is given up is answered for by a person from now on."""

    call: Annotated[str, Meta(max_length=128)]
    reason: Annotated[str, Meta(min_length=1, max_length=1_000)]


class ChildEnded(Struct, frozen=True, tag="workflow.child_ended"):
    """From the run of a sub-workflow to the one that asked for it."""

    call: str
    outcome: Literal["completed", "failed", "cancelled"]
    output: Value = Value()
    reason: str = ""
    cost: float = 0.0


# Event tags are storage: never rename one that has been written.
class Started(Struct, frozen=True, tag="workflow.started"):
    """`steps` with all patterns written out, in an order in which each comes after those that it needs. The run
    fails where it is not over by `until`."""

    definition: str
    version: int
    steps: dict[str, Step]
    input: Value
    output: Any = None
    until: datetime | None = None
    context: dict[str, Any] = {}
    grants: Grants = Grants()
    budget: float | None = None
    parent: Parent | None = None
    pinned: dict[str, int] = {}


class StepStarted(Struct, frozen=True, tag="workflow.step_started"):
    """Of a step that is more than one call, which is the start of one that is no more. A step with `each`: its `items`.
    An approval: its question. A wait or an approval: `until`, a durable timer."""

    step: str
    items: Value | None = None
    count: int = 0
    question: str = ""
    until: datetime | None = None


class StepSkipped(Struct, frozen=True, tag="workflow.step_skipped"):
    step: str
    reason: str


class Routed(Struct, frozen=True):
    """A decision record: the versions of the skill with their weights, and why this one."""

    weights: dict[str, int]
    rule: str


class Requested(Struct, frozen=True, tag="workflow.requested"):
    """`kind` workflow: `skill` and `version` are of a definition. `item`: its place in the list of the step, -1 without
    one. `undo`: the call whose effect it takes back. `instead_of`: the call that failed, whose fallback this one is, or
    the sub-workflow that is begun anew. An attempt that nobody has begun at its `deadline` has failed; so has a
    sub-workflow that is not over then."""

    call: str
    step: str
    kind: Literal["skill", "workflow"]
    skill: str
    version: str
    input: Value
    deadline: datetime
    policy: Policy = Policy()
    item: int = -1
    undo: str | None = None
    instead_of: str | None = None
    routed: Routed | None = None


class Chosen(Struct, frozen=True, tag="workflow.chosen"):
    """A decision record of an adaptive step: the scores of the candidates whose conditions held; None: none did, or the
    goal is reached."""

    step: str
    turn: int
    scores: dict[str, float]
    skill: str | None
    reason: str


class Leased(Struct, frozen=True, tag="workflow.leased"):
    """A worker has it in hand. An attempt that is not over at its `deadline` has failed, whoever has it then."""

    call: str
    attempt: int
    worker: str
    deadline: datetime | None = None


class Progressed(Struct, frozen=True, tag="workflow.progressed"):
    """`fraction` from 0 to 1, as its worker says."""

    call: str
    attempt: int
    fraction: float
    note: str = ""


class Succeeded(Struct, frozen=True, tag="workflow.succeeded"):
    """`seconds` of its work. `exchanges`: what was asked of a language model, by the hashes of prompt and answer."""

    call: str
    attempt: int
    output: Value
    worker: str = ""
    seconds: float = 0.0
    cost: float = 0.0
    exchanges: tuple[str, ...] = ()


FailureKind = Literal["error", "invalid", "timeout", "unserved", "lost", "circuit_open", "refused"]
"""`timeout`: not done within the time that it may take; `unserved`: nobody has begun it in time; `lost`: its worker
gave no sign of life any more."""


class Failed(Struct, frozen=True, tag="workflow.failed_attempt"):
    """`retry_at`: another attempt follows then; None: no attempt is left, or none would change anything."""

    call: str
    attempt: int
    kind: FailureKind
    reason: str
    retry_at: datetime | None = None
    worker: str = ""
    seconds: float = 0.0
    cost: float = 0.0


class Reattempted(Struct, frozen=True, tag="workflow.reattempted"):
    """What was to be tried again is asked for again. `version` and `policy` as they are now: shares may have moved, and
    circuits opened. `attempt` never comes twice in a call; one that nobody was asked for, because the circuit was open,
    does not count."""

    call: str
    attempt: int
    version: str
    deadline: datetime
    policy: Policy = Policy()
    routed: Routed | None = None


class Parked(Struct, frozen=True, tag="workflow.parked"):
    """A dead letter: a person retries it or gives it up."""

    call: str
    reason: str


class Retried(Struct, frozen=True, tag="workflow.retried"):
    """With all its attempts again, at once; their numbers go on."""

    call: str


class GivenUp(Struct, frozen=True, tag="workflow.given_up"):
    call: str
    reason: str


class CallCancelled(Struct, frozen=True, tag="workflow.call_cancelled"):
    """What its worker may still say of it counts no more."""

    call: str
    reason: str


class Approved(Struct, frozen=True, tag="workflow.approved"):
    step: str
    note: str = ""
    by_default: bool = False


class Rejected(Struct, frozen=True, tag="workflow.rejected"):
    step: str
    note: str = ""
    by_default: bool = False


class StepCompleted(Struct, frozen=True, tag="workflow.step_completed"):
    """Of a step whose outcome is more than that of its one call."""

    step: str
    output: Value


class StepFailed(Struct, frozen=True, tag="workflow.step_failed"):
    step: str
    reason: str


class Revised(Struct, frozen=True, tag="workflow.revised"):
    """From `back_to` on everything up to `step` is done again, in another round."""

    step: str
    back_to: str
    steps: tuple[str, ...]
    round: int
    remarks: Value


class CancelAsked(Struct, frozen=True, tag="workflow.cancel_asked"):
    reason: str


class CompensationStarted(Struct, frozen=True, tag="workflow.compensation_started"):
    """`outcome` is how the run ends when everything is undone."""

    reason: str
    outcome: Literal["failed", "cancelled"]


class Completed(Struct, frozen=True, tag="workflow.completed"):
    output: Value
    cost: float = 0.0


class RunFailed(Struct, frozen=True, tag="workflow.failed"):
    """`undone` says how many calls were compensated."""

    reason: str
    undone: int = 0
    cost: float = 0.0


class Cancelled(Struct, frozen=True, tag="workflow.cancelled"):
    reason: str
    undone: int = 0
    cost: float = 0.0


CallStatus = Literal[
    "requested", "leased", "retrying", "parked", "succeeded", "failed", "cancelled", "undone", "waived"
]
UNSETTLED: frozenset[CallStatus] = frozenset({"requested", "leased", "retrying", "parked"})
StepStatus = Literal["waiting", "running", "succeeded", "failed", "skipped"]


class Call(Struct, frozen=True):
    """`attempt` counts from 1, and is the next one while retrying; `due`: when that begins (None: at once). `number` is
    its place in the run. `before`: attempts that a person's retry has written off. `place`: how many calls had
    succeeded when this one did."""

    number: int
    step: str
    kind: Literal["skill", "workflow"]
    skill: str
    version: str
    input: Value
    policy: Policy
    deadline: datetime
    item: int = -1
    undo: str | None = None
    instead_of: str | None = None
    status: CallStatus = "requested"
    attempt: int = 1
    worker: str = ""
    due: datetime | None = None
    reason: str = ""
    output: Value = Value()
    cost: float = 0.0
    before: int = 0
    place: int = 0


class StepState(Struct, frozen=True):
    """`status` cancelled: it was left off when its run turned back. `calls` of this round, in order; `history`: outputs
    of the rounds before; `remarks` sent it back. `turns`: the choices of an adaptive step so far. `asked`, `unsettled`
    and `good` count the calls of this round: those that are no fallback, those without an end yet, those that have
    succeeded. `answer`: what the person said, of an approval that may be revised."""

    status: StepStatus | Literal["cancelled"] = "waiting"
    calls: tuple[str, ...] = ()
    items: Value | None = None
    count: int = 0
    output: Value = Value()
    reason: str = ""
    until: datetime | None = None
    history: tuple[Value, ...] = ()
    round: int = 1
    remarks: Value | None = None
    turns: int = 0
    chosen: str | None = None
    asked: int = 0
    unsettled: int = 0
    good: int = 0
    answer: Literal["", "approved", "rejected"] = ""


class NotStarted(Struct, frozen=True, tag="not_started"):
    pass


class Running(Struct, frozen=True, tag="running"):
    """It fails where it is not over by `until`. `cancelling`: people asked for it; `compensating`: why, and `ending` is
    how it ends then. `open` are the calls that are not settled, in the order in which they became so; `successes`
    counts those that have succeeded."""

    definition: str
    version: int
    steps: dict[str, Step]
    input: Value
    states: dict[str, StepState]
    calls: dict[str, Call] = field(default_factory=dict[str, Call])
    output: Any = None
    until: datetime | None = None
    context: dict[str, Any] = field(default_factory=dict[str, Any])
    grants: Grants = Grants()
    budget: float | None = None
    parent: Parent | None = None
    pinned: dict[str, int] = field(default_factory=dict[str, int])
    cancelling: str | None = None
    compensating: str | None = None
    ending: Literal["failed", "cancelled"] = "failed"
    cost: float = 0.0
    open: tuple[str, ...] = ()
    successes: int = 0


class Ended(Struct, frozen=True, tag="ended"):
    """`request`: the marks of what it was asked to do (None: not known)."""

    definition: str
    version: int
    outcome: Literal["completed", "failed", "cancelled"]
    output: Value = Value()
    reason: str = ""
    cost: float = 0.0
    parent: Parent | None = None
    request: dict[str, str] | None = None


Command = Begin | Start | Invoke | Approve | Reject | Cancel | Retry | GiveUp | ChildEnded
Event = (
    Started
    | StepStarted
    | StepSkipped
    | Requested
    | Chosen
    | Leased
    | Progressed
    | Succeeded
    | Failed
    | Reattempted
    | Parked
    | Retried
    | GivenUp
    | CallCancelled
    | Approved
    | Rejected
    | StepCompleted
    | StepFailed
    | Revised
    | CancelAsked
    | CompensationStarted
    | Completed
    | RunFailed
    | Cancelled
)
State = NotStarted | Running | Ended


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Start() | Invoke(), _:
            return Refusal("not_resolved", "what is started must be looked up first")
        case Begin(), NotStarted():
            return (_started(command),)
        case Begin(), Running() | Ended():
            return _begun_again(command, state)
        case ChildEnded(), NotStarted() | Ended():
            return ()
        case ChildEnded(), Running():
            return _child_ended(command, state)
        case Cancel(), Ended(outcome="cancelled"):
            return ()
        case Cancel(reason), Running():
            return () if state.cancelling is not None or state.compensating is not None else (CancelAsked(reason),)
        case _, NotStarted():
            return Refusal("run_not_found", "there is no such run")
        case _, Ended(outcome=outcome):
            return Refusal("run_ended", f"the run is over: {outcome}")
        case Approve(step, note), Running():
            return _not_waiting(step, state) or (Approved(step, note),)
        case Reject(step, note), Running():
            return _not_waiting(step, state) or (Rejected(step, note),)
        case Retry(str(call)), Running():
            return _not_parked(call, state) or (Retried(call),)
        case Retry(), Running():
            return tuple(Retried(id) for id in state.open if state.calls[id].status == "parked")
        case GiveUp(call, reason), Running():
            return _not_parked(call, state) or (GivenUp(call, reason),)


def _started(begin: Begin) -> Started:
    return Started(
        begin.definition,
        begin.version,
        written_out(begin.steps),
        begin.input,
        begin.output,
        begin.until,
        begin.context,
        begin.grants,
        begin.budget,
        begin.parent,
        begin.pinned,
    )


def _begun_again(begin: Begin, state: Running | Ended) -> tuple[Event, ...] | Refusal:
    """A sub-workflow is known by the call that asks for it: what it is given of a budget may not be the same again.
    Anything else is the same where everything is that people may say."""
    others = [name for name in ("definition", "version") if getattr(begin, name) != getattr(state, name)]
    others += ["parent"] if _asker(begin.parent) != _asker(state.parent) else []
    if begin.parent is None and state.parent is None and begin.definition == state.definition:
        known = _request(state) if isinstance(state, Running) else state.request
        others += differing(known, _request(begin)) if known is not None else []
    if not others:
        return ()
    return Refusal("run_exists", f"there is a run of this id already, which differs in {', '.join(others)}")


def _asker(parent: Parent | None) -> tuple[str, str] | None:
    return None if parent is None else (parent.run, parent.call)


def _request(asked: Begin | Running) -> dict[str, str]:
    """Without what its definition says anyway: of one skill alone there is none, and its step says it."""
    alone = Step() if asked.definition else next(iter(asked.steps.values()), Step())
    return marks(
        skill=alone.skill,
        version=alone.version,
        timeout=alone.timeout,
        retry=alone.retry,
        park=alone.on_failure == "park" or None,
        input=None if asked.input == Value() else asked.input,
        context=asked.context,
        grants=None if asked.grants == Grants() else asked.grants,
        budget=asked.budget,
    )


def _child_ended(child: ChildEnded, state: Running) -> tuple[Event, ...]:
    call = state.calls.get(child.call)
    if call is None or call.status not in UNSETTLED:
        return ()
    if child.outcome == "completed":
        return (Succeeded(child.call, call.attempt, child.output, cost=child.cost),)
    if call.status in {"parked", "retrying"}:
        return ()  # it has failed before: its time was over, and its run was called off
    reason = f"the run {child.call} {child.outcome}: {child.reason}".removesuffix(": ")
    failed = Failed(child.call, call.attempt, "error", reason, cost=child.cost)
    return (failed, Parked(child.call, reason)) if state.steps[call.step].on_failure == "park" else (failed,)


def _not_waiting(step: str, state: Running) -> Refusal | None:
    known = state.steps.get(step)
    waits = known is not None and known.approval is not None and state.states[step].status == "running"
    if waits and not state.states[step].answer and state.cancelling is None and state.compensating is None:
        return None
    return Refusal("step_not_waiting", f"the step {step} does not wait for approval")


def _not_parked(call: str, state: Running) -> Refusal | None:
    known = state.calls.get(call)
    if known is not None and known.status == "parked":
        return None
    return Refusal("call_not_parked", f"the call {call} is not parked")


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Started(), NotStarted():
            return _running(event)
        case Started(), Running() | Ended():
            return state
        case _, NotStarted() | Ended():
            return state
        case Requested(), Running():
            return _requested(state, event)
        case Leased(call, _, worker, deadline), Running():
            until = deadline or state.calls[call].deadline
            return _moved(state, call, status="leased", worker=worker, deadline=until)
        case Succeeded(), Running():
            return _succeeded(state, event)
        case Progressed(), Running():
            return state
        case Failed(), Running():
            return _failed(state, event)
        case Reattempted(call, attempt, version, deadline, policy), Running():
            again = {"version": version, "deadline": deadline, "policy": policy, "worker": "", "due": None}
            return _moved(state, call, status="requested", attempt=attempt, **again)
        case Parked(call, reason), Running():
            return _moved(state, call, status="parked", reason=reason, due=None)
        case Retried(call), Running():
            before = state.calls[call].attempt
            return _moved(state, call, status="retrying", attempt=before + 1, before=before, due=None)
        case GivenUp(call, reason), Running():
            return _undone(_moved(state, call, status="failed", reason=reason), call, "waived")
        case CallCancelled(call, reason), Running():
            return _left_off(_moved(state, call, status="cancelled", reason=reason, due=None))
        case CancelAsked(reason), Running():
            return structs.replace(state, cancelling=reason)
        case CompensationStarted(reason, outcome), Running():
            return _left_off(structs.replace(state, compensating=reason, ending=outcome))
        case Completed(output), Running():
            return _ended(state, "completed", output, "")
        case RunFailed(reason), Running():
            return _ended(state, "failed", Value(), reason)
        case Cancelled(reason), Running():
            return _ended(state, "cancelled", Value(), reason)
        case _, Running():
            return structs.replace(state, states=_of_steps(state, event))


def _of_steps(
    state: Running,
    event: StepStarted | StepSkipped | StepCompleted | StepFailed | Approved | Rejected | Chosen | Revised,
) -> dict[str, StepState]:
    known = state.states[event.step]
    match event:
        case StepStarted(step, items, count, _, until):
            after = structs.replace(known, status="running", items=items, count=count, until=until)
        case StepSkipped(step, reason):
            after = structs.replace(known, status="skipped", reason=reason)
        case StepCompleted(step, output):
            after = structs.replace(known, status="succeeded", output=output)
        case StepFailed(step, reason):
            after = structs.replace(known, status="failed", reason=reason)
        case Approved(step, note):
            after = _answered(state.steps[step], known, "approved", note)
        case Rejected(step, note):
            after = _answered(state.steps[step], known, "rejected", note)
        case Chosen(step, turn, _, skill):
            after = structs.replace(known, turns=turn, chosen=skill)
        case Revised():
            return state.states | {each: _again(state, each, event) for each in event.steps}
    return state.states | {step: after}


def _running(event: Started) -> Running:
    return Running(
        event.definition,
        event.version,
        event.steps,
        event.input,
        dict.fromkeys(event.steps, StepState()),
        output=event.output,
        until=event.until,
        context=event.context,
        grants=event.grants,
        budget=event.budget,
        parent=event.parent,
        pinned=event.pinned,
    )


def _answered(step: Step, known: StepState, answer: Literal["approved", "rejected"], note: str) -> StepState:
    output = Value({"approved": answer == "approved", "note": note})
    if step.revise is not None:
        return structs.replace(known, output=output, answer=answer)
    if answer == "approved":
        return structs.replace(known, output=output, status="succeeded")
    return structs.replace(known, output=output, status="failed", reason=f"rejected: {note}".removesuffix(": "))


def _again(state: Running, step: str, event: Revised) -> StepState:
    """A step that may send work back itself counts its own rounds from the first again."""
    before = state.states[step]
    round = 1 if state.steps[step].revise is not None else before.round + 1
    round = event.round if step == event.step else round
    return StepState(history=(*before.history, before.output), round=round, remarks=event.remarks)


def _requested(state: Running, event: Requested) -> Running:
    call = Call(
        len(state.calls) + 1,
        event.step,
        event.kind,
        event.skill,
        event.version,
        event.input,
        event.policy,
        event.deadline,
        event.item,
        event.undo,
        event.instead_of,
    )
    states = state.states
    if event.undo is None:
        step = states[event.step]
        states = states | {
            event.step: structs.replace(
                step,
                status="running",
                calls=(*step.calls, event.call),
                asked=step.asked + (event.instead_of is None),
                unsettled=step.unsettled + 1,
            )
        }
    calls = state.calls | {event.call: call}
    return structs.replace(state, calls=calls, states=states, open=(*state.open, event.call))


def _succeeded(state: Running, event: Succeeded) -> Running:
    call = state.calls[event.call]
    place = state.successes + 1
    cost = call.cost + event.cost
    after = _moved(state, event.call, status="succeeded", output=event.output, cost=cost, place=place, due=None)
    if call.undo is not None:
        after = _undone(after, event.call, "undone")
    elif is_one_call(state.steps[call.step]):
        done = structs.replace(after.states[call.step], status="succeeded", output=event.output)
        after = structs.replace(after, states=after.states | {call.step: done})
    return structs.replace(after, cost=state.cost + event.cost, successes=place)


def is_one_call(step: Step) -> bool:
    """Its outcome is that of its one call."""
    return not step.each and not step.output and step.revise is None and step.adaptive is None


def _failed(state: Running, event: Failed) -> Running:
    call = state.calls[event.call]
    cost = call.cost + event.cost
    if event.retry_at is None:
        after = _moved(state, event.call, status="failed", reason=event.reason, cost=cost, due=None)
    else:
        attempt = call.attempt + (event.kind != "circuit_open")
        more = {"reason": event.reason, "cost": cost, "due": event.retry_at, "attempt": attempt}
        after = _moved(state, event.call, status="retrying", **more)
    return structs.replace(after, cost=state.cost + event.cost) if event.cost else after


def _moved(state: Running, id: str, *, status: CallStatus, **more: Any) -> Running:
    """The call with another status, and what follows from it for whoever counts."""
    before = state.calls[id]
    calls = state.calls | {id: structs.replace(before, status=status, **more)}
    open = (status in UNSETTLED) - (before.status in UNSETTLED)
    good = (status == "succeeded") - (before.status == "succeeded")
    if not open and not good:
        return structs.replace(state, calls=calls)
    states = state.states
    if before.undo is None:
        step = states[before.step]
        counted = structs.replace(step, unsettled=step.unsettled + open, good=step.good + good)
        states = states | {before.step: counted}
    ids = state.open
    if open:
        ids = (*ids, id) if open > 0 else tuple(each for each in ids if each != id)
    return structs.replace(state, calls=calls, states=states, open=ids)


def _left_off(state: Running) -> Running:
    """What nobody works on any more, in a run that turns back."""
    if state.compensating is None:
        return state
    cancelled = {
        name: structs.replace(step, status="cancelled")
        for name, step in state.states.items()
        if step.status == "running" and not step.unsettled
    }
    return structs.replace(state, states=state.states | cancelled) if cancelled else state


def _undone(state: Running, id: str, status: Literal["undone", "waived"]) -> Running:
    """What the call `id` was to take back."""
    undo = state.calls[id].undo
    if undo is None:
        return state
    return structs.replace(state, calls=state.calls | {undo: structs.replace(state.calls[undo], status=status)})


def _ended(state: Running, outcome: Literal["completed", "failed", "cancelled"], output: Value, reason: str) -> Ended:
    request = _request(state) if state.parent is None else None
    return Ended(state.definition, state.version, outcome, output, reason, state.cost, state.parent, request)


workflow: Decider[Command, State, Event] = Decider(
    "workflow",
    Command,
    Event,
    State,
    NotStarted(),
    decide,
    evolve,
    internal=(Begin, ChildEnded),
    opening=(Start, Invoke, Begin),
)
