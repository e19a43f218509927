"""Read model: every command and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from domain import command
from eventstore.envelope import Recorded
from projections.projection import Journal, Projection


class Command(Struct, frozen=True):
    id: str
    type: str
    outcome: Literal["accepted", "refused"]
    refusal: str | None
    reason: str | None
    actor: str
    stream: str
    version: int
    events: list[command.EventReference]
    time: datetime
    correlation_id: str
    causation_id: str | None
    position: int


def tell(event: Recorded, data: command.Event) -> list[Command]:
    refused = isinstance(data, command.Refused)
    told = Command(
        event.stream.id,
        data.command,
        "refused" if refused else "accepted",
        data.refusal if refused else None,
        data.reason if refused else None,
        event.envelope.actor,
        data.stream,
        data.version,
        [] if refused else list(data.events),
        event.time,
        event.envelope.correlationid,
        event.envelope.causationid,
        event.position,
    )
    return [told]


commands = Projection(
    "commands",
    frozenset({"command"}),
    (
        Journal(
            "commands",
            Command,
            tell,
            filters=("type", "outcome", "refusal", "actor", "stream", "correlation_id", "time"),
        ),
    ),
)
