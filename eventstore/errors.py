"""Everything that can go wrong with the event store.

EventStoreError
├── WrongVersion        another writer was first; reload and decide again
├── LogUnavailable      nothing is known to be written; the same write may be sent again
│   └── LogFull         nothing is written: the server has no room left
├── WriteTooLarge       a message above the server's limit, or more than 1,000 messages in one write
├── LogMissing          the stream is not there: it is created by `init` only, never silently
├── LogMisconfigured    the stream would not protect history as configured
├── HistoryBroken       a gap, a changed event or a shortened log
└── UnknownEvent        a type or schema version this program cannot read
"""

from __future__ import annotations


class EventStoreError(Exception):
    """Root of the tree above."""


class WrongVersion(EventStoreError):
    """The stream already holds an event at a version that was to be written, or not yet the one before it."""

    def __init__(self, stream: str, version: int, text: str = "") -> None:
        super().__init__(text or f"{stream} already has a version {version}")
        self.stream = stream
        self.version = version

    @classmethod
    def of(cls, subject: str) -> WrongVersion:
        """From the subject of the event that is there already (`evt.<category>.<id>.<version>`)."""
        _, category, name, version = subject.rsplit(".", 3)
        return cls(f"{category}/{name}", int(version))


class LogUnavailable(EventStoreError):
    """The log could not take or serve the request in time."""


class LogFull(LogUnavailable):
    """The server's storage is used up; nothing of the write is stored."""


class WriteTooLarge(EventStoreError):
    """The write can never succeed in this form."""


class LogMissing(EventStoreError):
    """The event stream does not exist on this server."""


class LogMisconfigured(EventStoreError):
    """The stream's configuration differs from what protects history."""

    def __init__(self, stream: str, differences: list[str]) -> None:
        super().__init__(f"stream {stream} is not configured as an event log: {'; '.join(differences)}")
        self.differences = differences


class HistoryBroken(EventStoreError):
    """What the log holds contradicts what it held before."""


class UnknownEvent(EventStoreError):
    """No decoder for this event type and schema version."""
