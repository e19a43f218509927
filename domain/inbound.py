"""An event of another system: received as it came, or parked with the reason why it cannot be handled."""

from __future__ import annotations

from msgspec import Raw, Struct

from domain.decider import Decider, Refusal


class Receive(Struct, frozen=True, tag="inbound.receive"):
    source: str
    id: str
    kind: str
    document: Raw


class Park(Struct, frozen=True, tag="inbound.park"):
    """`document` is the original as text; what was no UTF-8 is marked in it."""

    subject: str
    document: str
    reason: str


class Retry(Struct, frozen=True, forbid_unknown_fields=True, tag="inbound.retry"):
    """Handle a parked event again: what was in its way may be gone."""


# Event tags are storage: never rename one that has been written.
class Received(Struct, frozen=True, tag="inbound.received"):
    source: str
    id: str
    kind: str
    document: Raw


class Parked(Struct, frozen=True, tag="inbound.parked"):
    subject: str
    document: str
    reason: str


class Retried(Struct, frozen=True, tag="inbound.retried"):
    """`attempt` counts from 2: the first was the event's own arrival."""

    subject: str
    document: str
    attempt: int


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Waiting(Struct, frozen=True, tag="waiting"):
    """Parked, or being handled again."""

    subject: str
    document: str
    attempt: int
    parked: bool


class Done(Struct, frozen=True, tag="done"):
    pass


Command = Receive | Park | Retry
Event = Received | Parked | Retried
State = Unknown | Waiting | Done


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Receive(), Done():
            return ()
        case Receive(source, id, kind, document), (Unknown() | Waiting()):
            return (Received(source, id, kind, document),)
        case Park(), (Done() | Waiting(parked=True)):
            return ()
        case Park(subject, document, reason), (Unknown() | Waiting()):
            return (Parked(subject, document, reason),)
        case Retry(), Waiting(subject, document, attempt, True):
            return (Retried(subject, document, attempt + 1),)
        case Retry(), Waiting():
            return ()
        case Retry(), Unknown():
            return Refusal("event_not_found", "no such event was parked")
        case Retry(), Done():
            return Refusal("event_already_handled", "the event is on the record")


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Received(), _:
            return Done()
        case Parked(subject, document), Waiting(attempt=attempt):
            return Waiting(subject, document, attempt, True)
        case Parked(subject, document), _:
            return Waiting(subject, document, 1, True)
        case Retried(subject, document, attempt), _:
            return Waiting(subject, document, attempt, False)


inbound: Decider[Command, State, Event] = Decider(
    "inbound", Command, Event, State, Unknown(), decide, evolve, internal=(Receive, Park)
)
