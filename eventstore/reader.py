"""Reading the log: one stream (at any moment of its past), single events, and pages from a position.

Loads use direct get with `multi_last` on versioned subjects: the server answers from its subject index and does not
scan. Followers of a cluster may answer with a slightly old view; `leader=True` asks the leader.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from nats.errors import Error as NatsError

from eventstore.connection import Connection, header_value, publication, status
from eventstore.envelope import Recorded, StreamId, recorded
from eventstore.errors import LogUnavailable
from eventstore.streams import LogLocation, ask, error_code
from eventstore.subjects import event_subject, stream_filter

_END: Final = 204
_NOTHING: Final = 404
_TOO_MANY: Final = 413
_CHUNK: Final = 512

Raw = tuple[int, bytes]
"""(position, bytes of the event)"""


class Reader:
    """Reads through one long-lived inbox, any number of requests at once."""

    def __init__(self, connection: Connection, location: LogLocation = LogLocation()) -> None:
        self._connection = connection
        self._location = location
        self._answers: dict[bytes, _Answer] = {}
        self._numbers = itertools.count(1)
        self._inbox = ""

    async def open(self) -> Reader:
        self._inbox = self._connection.new_inbox()
        await self._connection.subscribe_raw(f"{self._inbox}.*", self._on_delivery)
        return self

    async def load(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        until_position: int | None = None,
        until_time: datetime | None = None,
    ) -> list[Recorded]:
        """The stream's events, oldest first; empty when there is no such stream (or was none at that moment)."""
        until: dict[str, Any] = {}
        if until_position is not None:
            until["up_to_seq"] = until_position
        if until_time is not None:
            until["up_to_time"] = until_time.isoformat()
        found = None
        if after_version == 0:
            found = await self._get({"multi_last": [stream_filter(self._location, stream)], **until})
        if found is None:
            found = await self._by_literal_versions(stream, after_version, until)
        return [recorded(position, raw) for position, raw in found]

    async def newer(self, stream: StreamId, version: int) -> list[Recorded]:
        """Events above `version` as the *leader* knows them: read-after-write on a cluster too."""
        events: list[Recorded] = []
        while (event := await self.event(stream, version + len(events) + 1, leader=True)) is not None:
            events.append(event)
        return events

    async def event(self, stream: StreamId, version: int, *, leader: bool = False) -> Recorded | None:
        subject = event_subject(self._location, stream, version)
        if leader:
            found = await self._from_leader({"last_by_subj": subject})
            return recorded(*found) if found else None
        answer = await self._get({"multi_last": [subject]})
        return recorded(*answer[0]) if answer else None

    async def at(self, position: int) -> Recorded | None:
        """The event at a position; None beyond the end."""
        found = await self._from_leader({"seq": position})
        return recorded(*found) if found else None

    async def page(self, after: int, limit: int, *, subject: str | None = None) -> list[Raw]:
        """At most `limit` events above position `after`, oldest first, optionally of one subject filter."""
        request: dict[str, Any] = {"seq": after + 1, "batch": limit}
        if subject is not None:
            request["next_by_subj"] = subject
        return await self._get(request) or []

    async def _by_literal_versions(self, stream: StreamId, after_version: int, until: dict[str, Any]) -> Sequence[Raw]:
        """Versions are predictable: ask for them by name, where a wildcard would match more than the server lists."""
        found: list[Raw] = []
        while True:
            first = after_version + len(found) + 1
            wanted = [event_subject(self._location, stream, v) for v in range(first, first + _CHUNK)]
            chunk = await self._get({"multi_last": wanted, **until}) or []
            found.extend(chunk)
            if len(chunk) < _CHUNK:
                return found

    async def _get(self, request: dict[str, Any], *, timeout: float = 5.0) -> list[Raw] | None:
        """One direct get with many answers; None when the server declines to list that many."""
        number = next(self._numbers)
        reply = f"{self._inbox}.{number}"
        answer = self._answers[reply.encode()] = _Answer()
        frame = publication(f"$JS.API.DIRECT.GET.{self._location.stream}", msgspec.json.encode(request), reply=reply)
        try:
            await self._connection.write([frame])
            outcome = await asyncio.wait_for(answer.ended, timeout)
        except (TimeoutError, NatsError, OSError) as error:
            raise LogUnavailable("the log does not answer reads") from error
        finally:
            del self._answers[reply.encode()]
        if outcome == _TOO_MANY:
            return None
        if outcome not in (_END, _NOTHING):
            raise LogUnavailable(f"the log refused a read with status {outcome}")
        return answer.events

    async def _from_leader(self, request: dict[str, Any]) -> Raw | None:
        answer = await ask(self._connection, f"STREAM.MSG.GET.{self._location.stream}", request)
        if error_code(answer):
            if answer["error"].get("code") == _NOTHING:
                return None
            raise LogUnavailable(answer["error"]["description"])
        message = answer["message"]
        return message["seq"], base64.b64decode(message.get("data", ""))

    def _on_delivery(self, subject: bytes, _reply: bytes, payload: bytes, headers: bytes) -> None:
        answer = self._answers.get(subject)
        if answer is None:
            return
        code = status(headers)
        if code:
            answer.end(code)
        else:
            answer.events.append((int(header_value(headers, b"Nats-Sequence")), payload))


class _Answer:
    __slots__ = ("ended", "events")

    def __init__(self) -> None:
        self.events: list[Raw] = []
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def end(self, code: int) -> None:
        if not self.ended.done():
            self.ended.set_result(code)
