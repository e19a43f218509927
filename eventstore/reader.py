"""Reading the log: one stream (at any moment of its past), single events, and pages from a position.

Loads use direct get with `multi_last` on versioned subjects: the server answers from its subject index and does not
scan. Followers of a cluster may answer with a slightly old view; `leader=True` asks the leader.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from eventstore.connection import Connection, header_value, publication, status
from eventstore.envelope import Recorded, StreamId, recorded
from eventstore.errors import HistoryBroken, LogUnavailable
from eventstore.streams import LogLocation, ask, error_code
from eventstore.subjects import event_subject, stream_filter

_END: Final = 204
_NOTHING: Final = 404
_TOO_MANY: Final = 413
_NOT_SERVED: Final = 503
_FIRST_CHUNK: Final = 64
_CHUNK: Final = 512
_PAUSE: Final = 0.05

Raw = tuple[int, bytes]
"""(position, bytes of the event)"""


class Found(NamedTuple):
    """An event with the subject it is stored under."""

    subject: str
    position: int
    raw: bytes


class Reader:
    """Reads through one long-lived inbox, any number of requests at once.

    Requests lost with a connection are sent again; every read raises LogUnavailable when it has no answer in time.
    """

    def __init__(self, connection: Connection, location: LogLocation = LogLocation()) -> None:
        self._connection = connection
        self._location = location
        self._answers: dict[bytes, _Answer] = {}
        self._numbers = itertools.count(1)
        self._inbox = ""
        self._subscription: Subscription | None = None

    async def open(self) -> Reader:
        self._inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe_raw(f"{self._inbox}.*", self._on_delivery)
        return self

    async def close(self) -> None:
        if self._subscription is not None:
            await self._connection.unsubscribe_raw(self._subscription)
            self._subscription = None

    async def load(
        self,
        stream: StreamId,
        *,
        after_version: int = 0,
        limit: int | None = None,
    ) -> list[Recorded]:
        """The stream's events, oldest first; empty when there is no such stream."""
        found = None
        if after_version == 0:
            found = await self._wildcard({"multi_last": [stream_filter(self._location, stream)]}, limit)
        if found is None:
            found = await self._by_literal_versions(stream, after_version, limit)
        return [recorded(position, raw) for position, raw in found]

    async def newer(self, stream: StreamId, version: int) -> list[Recorded]:
        """Events above `version` as the *leader* knows them: read-after-write on a cluster too."""
        events: list[Recorded] = []
        while (event := await self.event(stream, version + len(events) + 1, leader=True)) is not None:
            events.append(event)
        return events

    async def event(self, stream: StreamId, version: int, *, leader: bool = False) -> Recorded | None:
        subject = event_subject(self._location, stream, version)
        found = await self.holder(subject) if leader else (await self.holders([subject])).get(subject)
        return recorded(*found) if found else None

    async def at(self, position: int) -> Recorded | None:
        """The event at a position; None beyond the end."""
        found = await self._from_leader({"seq": position})
        return recorded(*found) if found else None

    async def page(self, after: int, limit: int, *, subject: str | None = None) -> list[Raw]:
        """At most `limit` events above position `after`, oldest first, optionally of one subject filter.

        Empty only at the end of the log, which a follower may not know yet (see `next_above`); fewer than `limit`
        also when the server cuts large answers.
        """
        return (await self._get(_page(after, limit, subject))).events

    async def page_with_subjects(self, after: int, limit: int) -> list[Found]:
        answer = await self._get(_page(after, limit, None), with_subjects=True)
        return answer.found()

    async def next_above(self, position: int) -> Found | None:
        """The first event above a position as the leader knows it; None at the end of the log."""
        request = {"seq": position + 1, "next_by_subj": f"{self._location.prefix}.>"}
        message = await self._message_from_leader(request)
        return Found(message["subject"], *_raw(message)) if message else None

    async def holders(self, subjects: Sequence[str], *, timeout: float = 5.0) -> Mapping[str, Raw]:
        """The events stored under these subjects (at most 1,024), by subject."""
        answer = await self._get({"multi_last": list(subjects)}, with_subjects=True, timeout=timeout)
        return {found.subject: (found.position, found.raw) for found in answer.found()}

    async def holder(self, subject: str) -> Raw | None:
        """The event under a subject as the leader knows it."""
        return await self._from_leader({"last_by_subj": subject})

    async def _wildcard(self, request: dict[str, Any], limit: int | None) -> list[Raw] | None:
        """None when the server declines to list that many. Continues where it cuts a large answer."""
        batch = {"batch": limit} if limit else {}
        found: list[Raw] = []
        while True:
            after = {"seq": found[-1][0] + 1} if found else {}
            answer = await self._get({**request, **batch, **after})
            if answer.code == _TOO_MANY:
                return None
            found += answer.events
            if limit or not answer.pending:
                return found

    async def _by_literal_versions(self, stream: StreamId, after_version: int, limit: int | None) -> list[Raw]:
        """Versions are predictable: ask for them by name, where a wildcard would match more than the server lists."""
        found: list[Raw] = []
        size = _FIRST_CHUNK
        while limit is None or len(found) < limit:
            if limit is not None:
                size = min(size, limit - len(found))
            first = after_version + len(found) + 1
            wanted = [event_subject(self._location, stream, v) for v in range(first, first + size)]
            answer = await self._get({"multi_last": wanted})
            found += answer.events
            if len(answer.events) < size and not answer.pending:
                break
            size = min(size * 2, _CHUNK)
        return found

    async def _get(self, request: dict[str, Any], *, with_subjects: bool = False, timeout: float = 5.0) -> _Answer:
        """One direct get with many answers, asked again when it is lost with a connection."""
        deadline = time.monotonic() + timeout
        body = msgspec.json.encode(request)
        while True:
            answer = await self._ask(body, with_subjects, deadline - time.monotonic())
            code = answer.code
            if code in (_END, _TOO_MANY):
                return answer
            if code == _NOTHING and ("multi_last" not in request or answer.text == b"No Results"):
                return answer
            if code == _NOTHING:
                raise HistoryBroken("the log lists events that it cannot read; verify it, and restore what is damaged")
            if code not in (0, _NOT_SERVED):
                raise LogUnavailable(f"the log refused a read with status {code}")
            if time.monotonic() + _PAUSE > deadline:
                raise LogUnavailable("the log does not answer reads")
            await asyncio.sleep(_PAUSE)

    async def _ask(self, body: bytes, with_subjects: bool, patience: float) -> _Answer:
        """Its code stays 0 when there was no complete answer."""
        reply = f"{self._inbox}.{next(self._numbers)}"
        answer = self._answers[reply.encode()] = _Answer(with_subjects)
        try:
            await self._connection.write(
                [publication(f"$JS.API.DIRECT.GET.{self._location.stream}", body, reply=reply)]
            )
            await self._connection.answered(answer.ended, patience)
        except (NatsError, OSError):
            pass
        finally:
            del self._answers[reply.encode()]
        return answer

    async def _from_leader(self, request: dict[str, Any]) -> Raw | None:
        message = await self._message_from_leader(request)
        return _raw(message) if message else None

    async def _message_from_leader(self, request: dict[str, Any]) -> dict[str, Any] | None:
        answer = await ask(self._connection, f"STREAM.MSG.GET.{self._location.stream}", request)
        if error_code(answer):
            if answer["error"].get("code") == _NOTHING:
                return None
            raise LogUnavailable(answer["error"]["description"])
        return answer["message"]

    def _on_delivery(self, subject: bytes, _reply: bytes, payload: bytes, headers: bytes) -> None:
        answer = self._answers.get(subject)
        if answer is None:
            return
        code = status(headers)
        if code:
            answer.end(code, headers)
        else:
            answer.events.append((int(header_value(headers, b"Nats-Sequence")), payload))
            if answer.subjects is not None:
                answer.subjects.append(header_value(headers, b"Nats-Subject").decode())


class _Answer:
    """What has come of an answer; complete once `ended` is done."""

    __slots__ = ("code", "ended", "events", "pending", "subjects", "text")

    def __init__(self, with_subjects: bool) -> None:
        self.events: list[Raw] = []
        self.subjects: list[str] | None = [] if with_subjects else None
        self.code = 0
        self.text = b""
        self.pending = 0
        """Events that the server left out because the answer became too large."""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self, code: int, headers: bytes) -> None:
        if not self.ended.done():
            self.code = code
            self.text = headers[12 : headers.find(b"\r\n")].strip()
            self.pending = int(header_value(headers, b"Nats-Num-Pending") or 0)
            self.ended.set_result(None)

    def found(self) -> list[Found]:
        pairs = zip(self.subjects or (), self.events, strict=True)
        return [Found(subject, position, raw) for subject, (position, raw) in pairs]


def _raw(message: dict[str, Any]) -> Raw:
    return message["seq"], base64.b64decode(message.get("data", ""))


def _page(after: int, limit: int, subject: str | None) -> dict[str, Any]:
    request: dict[str, Any] = {"seq": after + 1, "batch": limit}
    return request if subject is None else {**request, "next_by_subj": subject}
