"""A run of a workflow: every call of a skill with what went in and came out, every choice, in one stream.

A run of one skill alone is a workflow of one step. Only one process works on a run at a time; it writes what `advance`
and `take` (domain/workflow_course.py) decide, and what is to be done outside follows from the state alone.

Calls are numbered through the run: `<run>-<number>` is the id of a call, the key under which doing it twice has one
effect, the id of the run of a sub-workflow, and where a worker reports to.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from domain.decider import ID
from domain.skill import Isolation, Name, RetryPolicy, VersionName
from domain.workflow_definition import Step

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
    """The run, and its call, that asked for this one."""

    run: str
    call: str


class Policy(Struct, frozen=True):
    """What was decided for a call when it was asked for: seconds, and what is done when it fails."""

    timeout: float = 60.0
    lease: float = 30.0
    retry: RetryPolicy = RetryPolicy()
    fallback: str | None = None
    isolation: Isolation | None = None
    effects: bool = True


# People and sub-workflows say these; everything else in the stream is written by whoever works on the run.
class Start(Struct, frozen=True, forbid_unknown_fields=True, tag="workflow.start"):
    """`definition` by name, of `version` or the latest. `context`: what the user's skills are to know, apart from the
    input; `budget`: the most that it may cost (None: no limit)."""

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
    """What Start and Invoke come to with everything looked up, and how a sub-workflow is started."""

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
    """Parked calls are tried again, with all their attempts: one, or without `call` every one of the run."""

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


class StepStarted(Struct, frozen=True, tag="workflow.step_started"):
    """A step with `each`: its `items`. An approval: its question. A wait or an approval: `until`, a durable timer."""

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
    one. `undo`: the call whose effect it takes back. `instead_of`: the call that failed, whose fallback this one is. An
    attempt that is not over at its `deadline` has failed."""

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
    """A worker has it in hand."""

    call: str
    attempt: int
    worker: str


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


class Failed(Struct, frozen=True, tag="workflow.failed_attempt"):
    """`retry_at`: another attempt follows then; None: no attempt is left, or none would change anything."""

    call: str
    attempt: int
    kind: Literal["error", "invalid", "timeout", "lost", "circuit_open", "refused"]
    reason: str
    retry_at: datetime | None = None
    worker: str = ""
    seconds: float = 0.0
    cost: float = 0.0


class Parked(Struct, frozen=True, tag="workflow.parked"):
    """A dead letter: a person retries it or gives it up."""

    call: str
    reason: str


class Retried(Struct, frozen=True, tag="workflow.retried"):
    """From the first attempt on, at once."""

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
    """`attempt` counts from 1; `number` is its place in the run; `due`: when the next attempt begins (retrying)."""

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


class StepState(Struct, frozen=True):
    """`calls` of this round, in order; `history`: outputs of the rounds before; `remarks` sent it back. `turns`: the
    choices of an adaptive step so far."""

    status: StepStatus = "waiting"
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


class NotStarted(Struct, frozen=True, tag="not_started"):
    pass


class Running(Struct, frozen=True, tag="running"):
    """It fails where it is not over by `until`. `cancelling`: people asked for it; `compensating`: why, and `ending` how
    it ends then."""

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
    cancelling: str | None = None
    compensating: str | None = None
    ending: Literal["failed", "cancelled"] = "failed"
    cost: float = 0.0


class Ended(Struct, frozen=True, tag="ended"):
    definition: str
    version: int
    outcome: Literal["completed", "failed", "cancelled"]
    output: Value = Value()
    reason: str = ""
    cost: float = 0.0
    parent: Parent | None = None


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
