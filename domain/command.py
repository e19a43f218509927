"""The record that every command leaves: exactly one, whether accepted or refused, kept for ever.

Its stream is `command/<command id>` and has one version, so the log itself refuses a second outcome for one id.
"""

from __future__ import annotations

from msgspec import Raw, Struct


class EventReference(Struct, frozen=True):
    """An event that a command caused."""

    type: str
    stream: str
    version: int


# Event tags are storage: never rename one that has been written.
class Accepted(Struct, frozen=True, tag="command.accepted"):
    """`stream` and `version` are those of the aggregate the command was for, after its events."""

    command: str
    stream: str
    version: int
    data: Raw
    events: tuple[EventReference, ...]


class Refused(Struct, frozen=True, tag="command.refused"):
    """`version` is the aggregate's at the moment of the refusal; `refusal` is its stable name."""

    command: str
    stream: str
    version: int
    data: Raw
    refusal: str
    reason: str


Event = Accepted | Refused
CATEGORY = "command"
