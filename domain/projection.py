"""Read models can be asked to be built anew; who asked, and when, is on the record like everything else."""

from __future__ import annotations

from msgspec import Struct

from domain.decider import Decider, Refusal


class Rebuild(Struct, frozen=True, forbid_unknown_fields=True, tag="projection.rebuild"):
    """Build the projection's tables anew, beside the live ones, and switch."""


# Event tags are storage: never rename one that has been written.
class RebuildRequested(Struct, frozen=True, tag="projection.rebuild_requested"):
    pass


class Projected(Struct, frozen=True, tag="projected"):
    """Whatever was asked before, it may be asked again."""


class Rebuilding(Struct, frozen=True, tag="rebuilding"):
    times: int


Command = Rebuild
Event = RebuildRequested
State = Projected | Rebuilding


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    return (RebuildRequested(),)


def evolve(state: State, event: Event) -> State:
    match state:
        case Projected():
            return Rebuilding(1)
        case Rebuilding(times):
            return Rebuilding(times + 1)


projection: Decider[Command, State, Event] = Decider("projection", Command, Event, State, Projected(), decide, evolve)
