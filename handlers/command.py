"""What comes in (a command with its context) and what goes out (its recorded outcome)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from eventstore.envelope import StreamId


class CommandRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A command as it arrives at an edge. `data` is its JSON; ids that are missing are made by the handler."""

    type: str
    data: bytes = b"{}"
    id: str | None = None
    stream_id: str | None = None
    stream_category: str | None = None
    expected_version: int | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what the request belongs to."""

    actor: str = "anonymous"
    correlation_id: str | None = None
    causation_id: str | None = None
    tenant: str | None = None
    traceparent: str | None = None


class CausedEvent(msgspec.Struct, frozen=True):
    """An event of a command, with the position at which the log holds it."""

    type: str
    stream: str
    version: int
    position: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one recorded outcome of a command; the same whenever and however often it is asked for.

    `position` is the record's: a read model that has reached it knows all the command did.
    """

    command_id: str
    command: str
    outcome: Literal["accepted", "refused"]
    stream: StreamId
    version: int
    position: int
    time: datetime
    events: Sequence[CausedEvent] = ()
    refusal: str | None = None
    reason: str | None = None
    duplicate: bool = False


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where (a JSON pointer) and what."""

    where: str
    what: str


class InvalidCommand(Exception):
    """The request is no command: nothing is recorded. Carries every fault at once."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.where or '/'}: {fault.what}" for fault in faults))
        self.faults = tuple(faults)


class Directive(msgspec.Struct, frozen=True, kw_only=True):
    """A command from within Sagacity, addressed and typed, with a deterministic id."""

    id: str
    category: str
    stream_id: str
    command: Any
