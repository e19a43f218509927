"""An environment is where stacks run: its targets, and which release of each stack is live.

It also answers for one rule that spans deployments: at most one rollout of a stack in an environment at a time.
A rollout reserves the stack's place here and settles it when it ends.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain import circuit
from domain.circuit import Circuit, CircuitPolicy
from domain.decider import ID, Decider, Refusal
from domain.stack import ReleaseSpec

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Id = Annotated[str, Meta(pattern=ID)]
EnvironmentType = Literal["development", "staging", "production"]
Settings = dict[str, str]


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """Where releases are run. `kind` names an implementation of the target port, `settings` are its own.

    `circuit`: after how many failures to reach it in a row deployments turn to their next target, and for how long.
    """

    name: Id
    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")] = "process"
    settings: Settings = {}
    circuit: CircuitPolicy = CircuitPolicy()


class LiveRelease(Struct, frozen=True):
    """The release that gets a stack's traffic, by the deployment that brought it and its attempt."""

    deployment_id: str
    version: str
    target: str
    instances: int = 1
    attempt: int = 1
    release: ReleaseSpec | None = None


class Placement(Struct, frozen=True):
    """A stack's place in an environment."""

    live: LiveRelease | None = None
    rollout: str | None = None


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="environment.register"):
    name: Name
    organization_id: Id
    environment_type: EnvironmentType = "development"
    configuration: Settings = {}
    targets: tuple[Target, ...] = ()


class Configure(Struct, frozen=True, forbid_unknown_fields=True, tag="environment.configure"):
    """Replaces the configuration that every program in this environment gets."""

    configuration: Settings


class AddTarget(Struct, frozen=True, forbid_unknown_fields=True, tag="environment.add_target"):
    target: Target


class RemoveTarget(Struct, frozen=True, forbid_unknown_fields=True, tag="environment.remove_target"):
    name: Id


class ReserveRollout(Struct, frozen=True, tag="environment.reserve_rollout"):
    stack_id: str
    deployment_id: str


class SettleRollout(Struct, frozen=True, tag="environment.settle_rollout"):
    """`live` is what has the traffic now; None: nothing has."""

    stack_id: str
    deployment_id: str
    live: LiveRelease | None


class ReportUnreachable(Struct, frozen=True, tag="environment.report_unreachable"):
    """A target could not be reached at that time."""

    target: str
    reason: str
    at: datetime


class ReportReached(Struct, frozen=True, tag="environment.report_reached"):
    """A target that could not be reached before answers again."""

    target: str


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="environment.registered"):
    name: str
    organization_id: str
    environment_type: EnvironmentType
    configuration: Settings
    targets: tuple[Target, ...]


class Configured(Struct, frozen=True, tag="environment.configured"):
    configuration: Settings


class TargetAdded(Struct, frozen=True, tag="environment.target_added"):
    target: Target


class TargetRemoved(Struct, frozen=True, tag="environment.target_removed"):
    name: str


class RolloutReserved(Struct, frozen=True, tag="environment.rollout_reserved"):
    stack_id: str
    deployment_id: str


class RolloutSettled(Struct, frozen=True, tag="environment.rollout_settled"):
    stack_id: str
    deployment_id: str
    live: LiveRelease | None


class TargetUnreachable(Struct, frozen=True, tag="environment.target_unreachable"):
    """`failures` in a row, this one among them."""

    target: str
    reason: str
    at: datetime
    failures: int


class CircuitOpened(Struct, frozen=True, tag="environment.circuit_opened"):
    """Deployments that have another target do not try this one before `until`."""

    target: str
    until: datetime


class CircuitClosed(Struct, frozen=True, tag="environment.circuit_closed"):
    target: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    name: str
    organization_id: str
    environment_type: EnvironmentType
    configuration: Settings
    targets: dict[str, Target] = {}
    placements: dict[str, Placement] = {}
    circuits: dict[str, Circuit] = {}

    def placement(self, stack_id: str) -> Placement:
        return self.placements.get(stack_id, Placement())


Command = (
    Register | Configure | AddTarget | RemoveTarget | ReserveRollout | SettleRollout | ReportUnreachable | ReportReached
)
Event = (
    Registered
    | Configured
    | TargetAdded
    | TargetRemoved
    | RolloutReserved
    | RolloutSettled
    | TargetUnreachable
    | CircuitOpened
    | CircuitClosed
)
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(), Unknown():
            return _register(command)
        case Register(), Known(name):
            return Refusal("environment_already_registered", f"this id belongs to the environment {name!r}")
        case Configure(configuration), Known():
            return () if configuration == state.configuration else (Configured(configuration),)
        case AddTarget(target), Known():
            return _add_target(target, state)
        case RemoveTarget(name), Known():
            return _remove_target(name, state)
        case ReserveRollout(stack_id, deployment_id), Known():
            return _reserve(stack_id, deployment_id, state)
        case SettleRollout(stack_id, deployment_id, live), Known():
            return _settle(stack_id, deployment_id, live, state)
        case ReportUnreachable(), Known():
            return _unreachable(command, state)
        case ReportReached(target), Known():
            return (CircuitClosed(target),) if target in state.circuits else ()
        case (
            (
                Configure()
                | AddTarget()
                | RemoveTarget()
                | ReserveRollout()
                | SettleRollout()
                | ReportUnreachable()
                | ReportReached()
            ),
            Unknown(),
        ):
            return Refusal("environment_not_found", "there is no such environment")


def _register(command: Register) -> tuple[Event, ...] | Refusal:
    names = [target.name for target in command.targets]
    if len(names) != len(set(names)):
        return Refusal("target_already_exists", "two targets have the same name")
    return (
        Registered(
            command.name,
            command.organization_id,
            command.environment_type,
            command.configuration,
            command.targets,
        ),
    )


def _add_target(target: Target, state: Known) -> tuple[Event, ...] | Refusal:
    known = state.targets.get(target.name)
    if known == target:
        return ()
    if known is not None:
        return Refusal("target_already_exists", f"there is another target called {target.name}")
    return (TargetAdded(target),)


def _remove_target(name: str, state: Known) -> tuple[Event, ...] | Refusal:
    if name not in state.targets:
        return Refusal("target_not_found", f"there is no target called {name}")
    occupied = any(p.rollout or (p.live and p.live.target == name) for p in state.placements.values())
    if occupied:
        return Refusal("target_in_use", f"releases run or are being rolled out on {name}")
    return (TargetRemoved(name),)


def _reserve(stack_id: str, deployment_id: str, state: Known) -> tuple[Event, ...] | Refusal:
    holder = state.placement(stack_id).rollout
    if holder == deployment_id:
        return ()
    if holder is not None:
        return Refusal("rollout_in_progress", f"deployment {holder} of this stack is still under way here")
    return (RolloutReserved(stack_id, deployment_id),)


def _settle(stack_id: str, deployment_id: str, live: LiveRelease | None, state: Known) -> tuple[Event, ...] | Refusal:
    if state.placement(stack_id).rollout != deployment_id:
        return Refusal("rollout_not_reserved", f"deployment {deployment_id} holds no rollout of this stack")
    return (RolloutSettled(stack_id, deployment_id, live),)


def _unreachable(command: ReportUnreachable, state: Known) -> tuple[Event, ...]:
    target = state.targets.get(command.target)
    if target is None:
        return ()
    before = state.circuits.get(command.target, Circuit())
    failed = TargetUnreachable(command.target, command.reason, command.at, before.failures + 1)
    until = circuit.opens(before, target.circuit, command.at)
    return (failed,) if until is None else (failed, CircuitOpened(command.target, until))


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(name, organization_id, environment_type, configuration, targets), _:
            return Known(
                name, organization_id, environment_type, configuration, {target.name: target for target in targets}
            )
        case Configured(configuration), Known():
            return structs.replace(state, configuration=configuration)
        case TargetAdded(target), Known():
            return structs.replace(state, targets={**state.targets, target.name: target})
        case TargetRemoved(name), Known():
            kept = {known: target for known, target in state.targets.items() if known != name}
            return structs.replace(state, targets=kept, circuits=_without(state.circuits, name))
        case RolloutReserved(stack_id, deployment_id), Known():
            return _placed(state, stack_id, Placement(state.placement(stack_id).live, deployment_id))
        case RolloutSettled(stack_id, _, live), Known():
            return _placed(state, stack_id, Placement(live, None))
        case ((TargetUnreachable() | CircuitOpened() | CircuitClosed()), Known()):
            return structs.replace(state, circuits=circuits_after(state.circuits, event))
        case (
            (
                Configured()
                | TargetAdded()
                | TargetRemoved()
                | RolloutReserved()
                | RolloutSettled()
                | TargetUnreachable()
                | CircuitOpened()
                | CircuitClosed()
            ),
            Unknown(),
        ):
            return state


def circuits_after(
    circuits: dict[str, Circuit], event: TargetUnreachable | CircuitOpened | CircuitClosed
) -> dict[str, Circuit]:
    """Those after the event; by target."""
    known = circuits.get(event.target, Circuit())
    match event:
        case TargetUnreachable(target, _, _, failures):
            return {**circuits, target: structs.replace(known, failures=failures)}
        case CircuitOpened(target, until):
            return {**circuits, target: structs.replace(known, open_until=until)}
        case CircuitClosed(target):
            return _without(circuits, target)


def _placed(state: Known, stack_id: str, placement: Placement) -> Known:
    return structs.replace(state, placements={**state.placements, stack_id: placement})


def _without(circuits: dict[str, Circuit], target: str) -> dict[str, Circuit]:
    return {name: circuit for name, circuit in circuits.items() if name != target}


environment: Decider[Command, State, Event] = Decider(
    "environment",
    Command,
    Event,
    State,
    Unknown(),
    decide,
    evolve,
    internal=(ReserveRollout, SettleRollout, ReportUnreachable, ReportReached),
    opening=(Register,),
)
