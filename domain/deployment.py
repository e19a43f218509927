"""A deployment is one rollout of a stack's version to an environment, from request to outcome.

People request, approve, promote and cancel; the deployment saga reports what happens, step by step. A deployment
ends completed, rolled back (the previous state is restored exactly) or failed (a person gave up on an effect that
could not be undone).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain import canary
from domain.canary import Approve, Look, Promote, RecordMeasurement, ShiftTraffic, Watch
from domain.decider import ID, Decider, Refusal
from domain.environment import LiveRelease, Target
from domain.stack import Configuration, ReleaseSpec, Version
from domain.strategy import PLAIN, Canary, StepKind, Strategy, declared, faults, kind_of, steps_of

Id = Annotated[str, Meta(pattern=ID)]
Reason = Annotated[str, Meta(max_length=1000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Instances = Annotated[int, Meta(ge=1, le=30)]
Step = str
"""A name of `strategy.steps_of`."""


class RolloutPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a step may take and what counts as healthy. Times are in seconds."""

    step_timeouts: dict[StepKind, Seconds] = {}
    default_timeout: Seconds = 30.0
    healthy_checks: Annotated[int, Meta(ge=1, le=1000)] = 3
    health_interval: Annotated[float, Meta(gt=0, le=60)] = 0.2
    unhealthy_checks: Annotated[int, Meta(ge=1, le=1000)] = 5

    def timeout(self, step: Step) -> float:
        timeouts: dict[str, float] = {**self.step_timeouts}
        # Whatever is waited for, it is the same program: it takes as long to be healthy.
        kind = "health" if step.endswith("-health") else kind_of(step)
        return timeouts.get(kind, self.default_timeout)


class Request(Struct, frozen=True, forbid_unknown_fields=True, tag="deployment.request"):
    """What people ask for. `targets` in order: when one cannot be reached, the next is tried.

    Without any, the environment's only one is taken; `target` stands for a list of one.
    """

    stack_id: Id
    environment_id: Id
    version: Version
    target: Id | None = None
    strategy: Strategy = "switch_over"
    configuration: Configuration = {}
    policy: RolloutPolicy = RolloutPolicy()
    targets: Annotated[tuple[Id, ...], Meta(max_length=10)] = ()
    instances: Instances = 1


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
    fallbacks: tuple[Target, ...] = ()
    instances: int = 1
    previous_target: Target | None = None


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


class SkipSteps(Struct, frozen=True, tag="deployment.skip_steps"):
    """They are not needed any more."""

    steps: tuple[Step, ...]
    reason: str


class StartAttempt(Struct, frozen=True, tag="deployment.start_attempt"):
    """From the beginning, on the next target. `number` counts from 1."""

    number: int
    target: str
    reason: str


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
    """`fallbacks` are the targets after `target`, in order; `previous_target` is where `previous` runs."""

    stack_id: str
    environment_id: str
    version: str
    strategy: Strategy
    policy: RolloutPolicy
    release: ReleaseSpec
    target: Target
    previous: LiveRelease | None
    fallbacks: tuple[Target, ...] = ()
    instances: int = 1
    previous_target: Target | None = None


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


class StepsSkipped(Struct, frozen=True, tag="deployment.steps_skipped"):
    steps: tuple[Step, ...]
    reason: str


class AttemptStarted(Struct, frozen=True, tag="deployment.attempt_started"):
    """`reason` is why the one before was given up."""

    number: int
    target: str
    reason: str


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
    """On its way forward. `healthy` is the last report: None before the first.

    `steps` are those of this attempt, `targets` all that may be tried; `watch` is the canary with traffic.
    """

    version: str
    previous: LiveRelease | None
    step: Step | None = None
    done: tuple[Step, ...] = ()
    healthy: bool | None = None
    cancelled: str | None = None
    strategy: Strategy = "switch_over"
    instances: int = 1
    steps: tuple[Step, ...] = PLAIN
    skipped: tuple[Step, ...] = ()
    targets: tuple[str, ...] = ()
    attempt: int = 1
    watch: Watch | None = None


class RollingBack(Struct, frozen=True, tag="rolling_back"):
    version: str
    previous: LiveRelease | None
    reason: str


class Ended(Struct, frozen=True, tag="ended"):
    version: str
    outcome: Literal["completed", "rolled_back", "failed"]


Report = (
    StartStep
    | CompleteStep
    | FailStep
    | SkipSteps
    | ReportHealth
    | CompensateStep
    | StartAttempt
    | StartRollback
    | Complete
    | ConcludeRollback
)
Command = Request | Open | Cancel | Report | canary.Command
Event = (
    Requested
    | CancellationRequested
    | StepStarted
    | StepCompleted
    | StepFailed
    | StepsSkipped
    | HealthReported
    | AttemptStarted
    | RollbackStarted
    | StepCompensated
    | Completed
    | RolledBack
    | Failed
    | canary.Event
)
State = Absent | Rolling | RollingBack | Ended


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Request(), _:
            return Refusal("request_not_resolved", "a request is opened with its stack and environment looked up")
        case Open(), Absent():
            return _open(command)
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


def _decide_forward(command: Report | canary.Command, state: Rolling) -> tuple[Event, ...] | Refusal:
    match command:
        case ShiftTraffic() | Look() | RecordMeasurement() | Approve() | Promote():
            return _decide_watched(command, state)
        case StartStep(step):
            return () if state.step == step else (StepStarted(step),)
        case CompleteStep(step, detail):
            return () if step in state.done else (StepCompleted(step, detail),)
        case FailStep(step, reason):
            return (StepFailed(step, reason),)
        case ReportHealth(healthy, detail):
            # One event a change, not one a check: the checks themselves are in the release's log.
            return () if healthy == state.healthy else (HealthReported(healthy, detail),)
        case SkipSteps(steps, reason):
            return (StepsSkipped(steps, reason),)
        case StartAttempt(number, target, reason):
            return () if number <= state.attempt else (AttemptStarted(number, target, reason),)
        case StartRollback(reason):
            return (RollbackStarted(reason),)
        case Complete() if state.cancelled is not None:
            return Refusal("cancellation_requested", "the deployment was cancelled before it was complete")
        case Complete() if set(state.steps) - {*state.done, *state.skipped}:
            missing = ", ".join(step for step in state.steps if step not in {*state.done, *state.skipped})
            return Refusal("steps_missing", f"not done yet: {missing}")
        case Complete(url):
            return (Completed(state.version, url),)
        case CompensateStep() | ConcludeRollback():
            return Refusal("rollback_not_started", "the deployment is on its way forward")


def _decide_watched(command: canary.Command, state: Rolling) -> tuple[Event, ...] | Refusal:
    strategy, by_person = declared(state.strategy), isinstance(command, Approve | Promote)
    if by_person and state.cancelled is not None:
        return Refusal("cancellation_requested", "the deployment was cancelled")
    if (
        state.watch is not None
        and not isinstance(command, ShiftTraffic | Look)
        and _decided(state, state.watch, by_person)
    ):
        # It would be recorded, and nobody would act on it.
        return Refusal("canary_not_watched", "the step of the canary is over, and the traffic is on its way elsewhere")
    if isinstance(strategy, Canary) and (state.watch is not None or isinstance(command, ShiftTraffic)):
        return canary.decide(command, strategy, state.watch)
    if isinstance(command, Approve | Promote) and state.step in ("keep", "gate") and state.step not in state.done:
        return (canary.Promoted(state.step, command.reason),)
    return Refusal("nothing_to_watch", "the deployment has no canary with traffic, and keeps no old release now")


def _decided(state: Rolling, watch: Watch, by_person: bool) -> bool:
    over = watch.name in state.done or watch.decision in ("promote", "roll_back")
    return over or (by_person and watch.decision == "advance")


def _decide_backward(command: Report | canary.Command, state: RollingBack) -> tuple[Event, ...] | Refusal:
    match command:
        case CompensateStep(step, detail):
            return (StepCompensated(step, detail),)
        case ConcludeRollback(()):
            return (RolledBack(state.reason, state.previous),)
        case ConcludeRollback(waived):
            return (Failed(state.reason, waived),)
        case StartRollback():
            return ()
        case (
            StartStep()
            | CompleteStep()
            | FailStep()
            | SkipSteps()
            | ReportHealth()
            | StartAttempt()
            | Complete()
            | ShiftTraffic()
            | Look()
            | RecordMeasurement()
            | Approve()
            | Promote()
        ):
            return Refusal("rollback_started", "the deployment is being rolled back")


def _open(command: Open) -> tuple[Event, ...] | Refusal:
    wrong = faults(declared(command.strategy), command.instances)
    if wrong:
        return Refusal("strategy_invalid", "; ".join(wrong))
    return (
        Requested(
            command.stack_id,
            command.environment_id,
            command.version,
            declared(command.strategy),
            command.policy,
            command.release,
            command.target,
            command.previous,
            command.fallbacks,
            command.instances,
            command.previous_target,
        ),
    )


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Requested(), _:
            return _rolling(event)
        case CancellationRequested(reason), Rolling():
            return structs.replace(state, cancelled=reason)
        case StepStarted(step), Rolling():
            return structs.replace(state, step=step)
        case StepCompleted(step), Rolling():
            return structs.replace(state, done=(*state.done, step))
        case HealthReported(healthy), Rolling():
            return structs.replace(state, healthy=healthy)
        case StepsSkipped(steps), Rolling():
            return structs.replace(state, skipped=(*state.skipped, *steps))
        case AttemptStarted(number), Rolling():
            return _attempt(state, number)
        case (
            (
                canary.TrafficShifted()
                | canary.Measured()
                | canary.MetricMeasured()
                | canary.Judged()
                | canary.Approved()
                | canary.Promoted()
            ),
            Rolling(),
        ):
            strategy = declared(state.strategy)
            watched = state.watch is not None or isinstance(event, canary.TrafficShifted)
            if not isinstance(strategy, Canary) or not watched:
                return state
            return structs.replace(state, watch=canary.evolve(state.watch, event, strategy))
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
                | StepsSkipped()
                | HealthReported()
                | AttemptStarted()
                | RollbackStarted()
                | StepCompensated()
                | RolledBack()
                | Failed()
                | canary.TrafficShifted()
                | canary.Measured()
                | canary.MetricMeasured()
                | canary.Judged()
                | canary.Approved()
                | canary.Promoted()
            ),
            _,
        ):
            return state


def _rolling(event: Requested) -> Rolling:
    targets = tuple(target.name for target in (event.target, *event.fallbacks))
    rolling = Rolling(
        event.version, event.previous, strategy=event.strategy, instances=event.instances, targets=targets
    )
    return _attempt(rolling, 1)


def _attempt(state: Rolling, number: int) -> Rolling:
    """A target where nothing is live has nothing to compare with."""
    live = state.previous
    here = live is not None and live.target == state.targets[number - 1]
    steps = steps_of(state.strategy, state.instances, here, live is not None and not here)
    return structs.replace(state, attempt=number, steps=steps, step=None, done=(), skipped=(), healthy=None, watch=None)


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
        SkipSteps,
        ReportHealth,
        CompensateStep,
        StartAttempt,
        StartRollback,
        Complete,
        ConcludeRollback,
        ShiftTraffic,
        Look,
    ),
    opening=(Request, Open),
)
