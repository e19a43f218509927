"""Who said exactly this first: a content by its hash, so that a second record of it is known for a duplicate."""

from __future__ import annotations

from msgspec import Struct

from domain.decider import Decider, Refusal


class Claim(Struct, frozen=True, forbid_unknown_fields=True, tag="fingerprint.claim"):
    record_id: str


# Event tags are storage: never rename one that has been written.
class Claimed(Struct, frozen=True, tag="fingerprint.claimed"):
    record_id: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    """`record_id` is the first one."""

    record_id: str


Command = Claim
Event = Claimed
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match state:
        case Unknown():
            return (Claimed(command.record_id),)
        case Known():
            return ()


def evolve(state: State, event: Event) -> State:
    return state if isinstance(state, Known) else Known(event.record_id)


fingerprint: Decider[Command, State, Event] = Decider(
    "fingerprint", Command, Event, State, Unknown(), decide, evolve, internal=(Claim,)
)
