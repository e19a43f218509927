"""A deployment is one rollout of a stack's version to an environment, from request to outcome.

People request and cancel; the deployment saga reports what happens, step by step. A deployment ends completed,
rolled back (the previous state is restored exactly) or failed (a person gave up on an effect that could not be
undone).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal
from domain.environment import LiveRelease, Target
from domain.stack import Configuration, ReleaseSpec, Version

Id = Annotated[str, Meta(pattern=ID)]
Reason = Annotated[str, Meta(max_length=1000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Step = Literal["validate", "allocate", "start", "health", "switch", "retire"]
STEPS: tuple[Step, ...] = ("validate", "allocate", "start", "health", "switch", "retire")
Strategy = Literal["switch_over"]
"""`switch_over`: the new release is started beside the old one and takes all traffic at once when it is healthy."""


class RolloutPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a step may take and what counts as healthy. Times are in seconds."""

    step_timeouts: dict[Step, Seconds] = {}
    default_timeout: Seconds = 30.0
    healthy_checks: Annotated[int, Meta(ge=1, le=1000)] = 3
    health_interval: Annotated[float, Meta(gt=0, le=60)] = 0.2
    unhealthy_checks: Annotated[int, Meta(ge=1, le=1000)] = 5

    def timeout(self, step: Step) -> float:
        return self.step_timeouts.get(step, self.default_timeout)


class Request(Struct, frozen=True, forbid_unknown_fields=True, tag="deployment.request"):
    """What people ask for. Without `target` the environment's only one is taken."""

    stack_id: Id
    environment_id: Id
    version: Version
    target: Id | None = None
    strategy: Strategy = "switch_over"
    configuration: Configuration = {}
    policy: RolloutPolicy = RolloutPolicy()


class Open(Struct, frozen=True, tag="deployment.open"):
    """A request with everything looked up that the rollout needs: nothing is read again later."""

    stack_id: str
    environment_id: str
    version: str
    strategy: Strategy
    policy: RolloutPolicy
    release: ReleaseSpec
    target: Target
    previous: LiveRelease | None


class Cancel(Struct, frozen=True, forbid_unknown_fields=True, tag="deployment.cancel"):
    reason: Reason = ""


class StartStep(Struct, frozen=True, tag="deployment.start_step"):
    step: Step


class CompleteStep(Struct, frozen=True, tag="deployment.complete_step"):
    step: Step
    detail: str


class FailStep(Struct, frozen=True, tag="deployment.fail_step"):
    """The step failed for good: everything before it is undone."""

    step: Step
    reason: str


class ReportHealth(Struct, frozen=True, tag="deployment.report_health"):
    healthy: bool
    detail: str


class CompensateStep(Struct, frozen=True, tag="deployment.compensate_step"):
    step: Step
    detail: str


class StartRollback(Struct, frozen=True, tag="deployment.start_rollback"):
    reason: str


class Complete(Struct, frozen=True, tag="deployment.complete"):
    """`url` is where the stack answers."""

    url: str = ""


class ConcludeRollback(Struct, frozen=True, tag="deployment.conclude_rollback"):
    """`waived` names the effects a person gave up on; none means the previous state is restored."""

    waived: tuple[str, ...] = ()


# Event tags are storage: never rename one that has been written.
class Requested(Struct, frozen=True, tag="deployment.requested"):
    stack_id: str
    environment_id: str
    version: str
    strategy: Strategy
    policy: RolloutPolicy
    release: ReleaseSpec
    target: Target
    previous: LiveRelease | None


class CancellationRequested(Struct, frozen=True, tag="deployment.cancellation_requested"):
    reason: str


class StepStarted(Struct, frozen=True, tag="deployment.step_started"):
    step: Step


class StepCompleted(Struct, frozen=True, tag="deployment.step_completed"):
    step: Step
    detail: str


class StepFailed(Struct, frozen=True, tag="deployment.step_failed"):
    step: Step
    reason: str


class HealthReported(Struct, frozen=True, tag="deployment.health_reported"):
    healthy: bool
    detail: str


class RollbackStarted(Struct, frozen=True, tag="deployment.rollback_started"):
    reason: str


class StepCompensated(Struct, frozen=True, tag="deployment.step_compensated"):
    step: Step
    detail: str


class Completed(Struct, frozen=True, tag="deployment.completed"):
    version: str
    url: str = ""


class RolledBack(Struct, frozen=True, tag="deployment.rolled_back"):
    """`restored` is what has the traffic again; None: nothing had it before."""

    reason: str
    restored: LiveRelease | None


class Failed(Struct, frozen=True, tag="deployment.failed"):
    reason: str
    waived: tuple[str, ...]


class Absent(Struct, frozen=True, tag="absent"):
    pass


class Rolling(Struct, frozen=True, tag="rolling"):
    """On its way forward. `healthy` is the last report: None before the first."""

    version: str
    previous: LiveRelease | None
    step: Step | None = None
    done: tuple[Step, ...] = ()
    healthy: bool | None = None
    cancelled: str | None = None


class RollingBack(Struct, frozen=True, tag="rolling_back"):
    version: str
    previous: LiveRelease | None
    reason: str


class Ended(Struct, frozen=True, tag="ended"):
    version: str
    outcome: Literal["completed", "rolled_back", "failed"]


Report = (
    StartStep | CompleteStep | FailStep | ReportHealth | CompensateStep | StartRollback | Complete | ConcludeRollback
)
Command = Request | Open | Cancel | Report
Event = (
    Requested
    | CancellationRequested
    | StepStarted
    | StepCompleted
    | StepFailed
    | HealthReported
    | RollbackStarted
    | StepCompensated
    | Completed
    | RolledBack
    | Failed
)
State = Absent | Rolling | RollingBack | Ended


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Request(), _:
            return Refusal("request_not_resolved", "a request is opened with its stack and environment looked up")
        case Open(), Absent():
            return (_requested(command),)
        case Open(), (Rolling() | RollingBack() | Ended()):
            return Refusal("deployment_already_requested", "there is a deployment with this id")
        case Cancel(reason), Rolling(cancelled=None):
            return (CancellationRequested(reason),)
        case Cancel(), (Rolling() | RollingBack()):
            return ()
        case Cancel(), Ended(_, outcome):
            return Refusal("deployment_ended", f"the deployment has already ended: {outcome}")
        case _, Absent():
            return Refusal("deployment_not_found", "there is no such deployment")
        case _, Rolling():
            return _decide_forward(command, state)
        case _, RollingBack():
            return _decide_backward(command, state)
        case _, Ended(_, outcome):
            return Refusal("deployment_ended", f"the deployment has already ended: {outcome}")


def _decide_forward(command: Report, state: Rolling) -> tuple[Event, ...] | Refusal:
    match command:
        case StartStep(step):
            return () if state.step == step else (StepStarted(step),)
        case CompleteStep(step, detail):
            return () if step in state.done else (StepCompleted(step, detail),)
        case FailStep(step, reason):
            return (StepFailed(step, reason),)
        case ReportHealth(healthy, detail):
            # One event a change, not one a check: the checks themselves are in the release's log.
            return () if healthy == state.healthy else (HealthReported(healthy, detail),)
        case StartRollback(reason):
            return (RollbackStarted(reason),)
        case Complete() if state.cancelled is not None:
            return Refusal("cancellation_requested", "the deployment was cancelled before it was complete")
        case Complete() if set(state.done) != set(STEPS):
            missing = ", ".join(step for step in STEPS if step not in state.done)
            return Refusal("steps_missing", f"not done yet: {missing}")
        case Complete(url):
            return (Completed(state.version, url),)
        case CompensateStep() | ConcludeRollback():
            return Refusal("rollback_not_started", "the deployment is on its way forward")


def _decide_backward(command: Report, state: RollingBack) -> tuple[Event, ...] | Refusal:
    match command:
        case CompensateStep(step, detail):
            return (StepCompensated(step, detail),)
        case ConcludeRollback(()):
            return (RolledBack(state.reason, state.previous),)
        case ConcludeRollback(waived):
            return (Failed(state.reason, waived),)
        case StartRollback():
            return ()
        case StartStep() | CompleteStep() | FailStep() | ReportHealth() | Complete():
            return Refusal("rollback_started", "the deployment is being rolled back")


def _requested(command: Open) -> Requested:
    return Requested(
        command.stack_id,
        command.environment_id,
        command.version,
        command.strategy,
        command.policy,
        command.release,
        command.target,
        command.previous,
    )


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Requested(), _:
            return Rolling(event.version, event.previous)
        case CancellationRequested(reason), Rolling():
            return structs.replace(state, cancelled=reason)
        case StepStarted(step), Rolling():
            return structs.replace(state, step=step)
        case StepCompleted(step), Rolling():
            return structs.replace(state, done=(*state.done, step))
        case HealthReported(healthy), Rolling():
            return structs.replace(state, healthy=healthy)
        case RollbackStarted(reason), Rolling(version, previous):
            return RollingBack(version, previous, reason)
        case Completed(version), _:
            return Ended(version, "completed")
        case RolledBack(), RollingBack(version):
            return Ended(version, "rolled_back")
        case Failed(), RollingBack(version):
            return Ended(version, "failed")
        case (
            (
                CancellationRequested()
                | StepStarted()
                | StepCompleted()
                | StepFailed()
                | HealthReported()
                | RollbackStarted()
                | StepCompensated()
                | RolledBack()
                | Failed()
            ),
            _,
        ):
            return state


deployment: Decider[Command, State, Event] = Decider(
    "deployment",
    Command,
    Event,
    State,
    Absent(),
    decide,
    evolve,
    internal=(
        Open,
        StartStep,
        CompleteStep,
        FailStep,
        ReportHealth,
        CompensateStep,
        StartRollback,
        Complete,
        ConcludeRollback,
    ),
    opening=(Request, Open),
)
