"""The work of a follow-up saga: a question or a reminder is sent, or the record looked at."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from domain import conversation, record, record_schema, source
from domain.due import Standing, schedule, standing
from domain.follow_up import About, question, reminder
from domain.message import Message
from domain.schema import Field, Schema
from domain.source import Configuration
from domain.working_time import zone_of
from eventstore.aggregates import Aggregates
from eventstore.envelope import StreamId
from eventstore.errors import LogUnavailable
from eventstore.store import EventStore
from records.channels.errors import SendFailed, SendRefused
from records.chase.holidays import holidays_of
from sagas.definition import Done, Outcome, Perform, Refused
from sagas.follow_up_course import FollowUp, Seen, Sent, as_detail
from sagas.follow_up_sending import Deliveries, Delivery
from sagas.timers import Clock

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)


class Send(Protocol):
    """As `records.channels.send`: what the platform calls the message that is sent to whoever sent `message`.

    The same key twice is one message, where the platform can tell. Raises SendRefused, SendFailed.
    """

    def __call__(
        self,
        client: httpx.AsyncClient,
        configuration: Configuration,
        secrets: Mapping[str, str],
        message: Message,
        text: str,
        key: str,
    ) -> Awaitable[str]: ...


class Impossible(Exception):
    """Nobody can be asked."""


class _Found(NamedTuple):
    """A record with its events and their times."""

    state: record.Known
    history: list[tuple[Any, datetime]]

    @property
    def message(self) -> Message:
        return self.state.received.message

    def status(self, number: int) -> str:
        follow_up = self.state.follow_up
        if follow_up is None or follow_up.number != number or not follow_up.open:
            return "over"
        return follow_up.status


@dataclass(frozen=True)
class Work:
    store: EventStore
    aggregates: Aggregates
    send: Send
    client: httpx.AsyncClient
    secrets: Mapping[str, str]
    clock: Clock
    deliveries: Deliveries

    async def ask(self, follow_up: FollowUp, what: Perform) -> Outcome:
        found, number, chase = await self._found(follow_up), follow_up.number, follow_up.chase
        if found.status(number) == "over":
            return Refused("follow_up_over", "it was over before it was asked")
        holidays = holidays_of(chase.calendar)
        fields = await self._fields(found, follow_up.gaps)
        asks = question(fields, _about(follow_up, found.message), chase.language)
        delivery = await self._deliver(found.message, asks.text, what)
        due = schedule(delivery.at, chase, holidays)
        sent = self._sent(found.message, delivery, due.remind_at)
        told = record.ReportAsked(
            number, asks, found.message.platform, delivery.external_id, due.remind_at, due.deadline
        )
        return Done(what, as_detail(sent), (follow_up.tell_record(told), *follow_up.opened(sent)))

    async def remind(self, follow_up: FollowUp, what: Perform) -> Outcome:
        found, number = await self._found(follow_up), follow_up.number
        due = _standing(follow_up, found)
        match found.status(number):
            case "over":
                return Refused("follow_up_over", "it was over before it was reminded of")
            case "waiting" if due.told == due.due and self.clock() < due.due.deadline:
                pass
            case _:
                return Refused("follow_up_paused", "its time has been changed")
        fields = await self._fields(found, _still_missing(found.state, follow_up.gaps))
        text = reminder(fields, _about(follow_up, found.message), follow_up.chase.language)
        delivery = await self._deliver(found.message, text, what)
        sent = self._sent(found.message, delivery, due.due.deadline)
        told = follow_up.tell_record(record.ReportReminded(number, delivery.external_id))
        return Done(what, as_detail(sent), (told, *follow_up.reminded(sent)))

    async def look(self, follow_up: FollowUp, what: Perform) -> Outcome:
        found, number = await self._found(follow_up), follow_up.number
        match found.status(number):
            case "over":
                return Done(what, as_detail(Seen("over")))
            case "paused":
                return Done(what, as_detail(Seen("paused")))
            case _:
                told, due = _standing(follow_up, found)
        seen = Seen("waiting", self._left(due.remind_at), self._left(due.deadline))
        moved = record.ReportRescheduled(number, due.remind_at, due.deadline)
        return Done(what, as_detail(seen), (follow_up.tell_record(moved),) if due != told else ())

    async def settle(self, follow_up: FollowUp, what: Perform) -> Outcome:
        """What was under way when it ended: known from now on for what it asks, though nobody waits any more."""
        delivery = await self.deliveries.outcome(what.key or "")
        if delivery is None:
            return Done(what, "")
        sent = self._sent((await self._found(follow_up)).message, delivery, self.clock())
        if what.operation == "remind":
            return Done(what, as_detail(sent), follow_up.reminded(sent))
        return Done(what, as_detail(sent), (*follow_up.opened(sent), *follow_up.closed(sent.conversation)))

    async def _deliver(self, message: Message, text: str, what: Perform) -> Delivery:
        """Raises Impossible, SendRefused, SendFailed, LogUnavailable."""
        loaded = (await self.aggregates.load(source.source, message.source, latest=True)).state
        if not isinstance(loaded, source.Known) or loaded.closed:
            raise Impossible(f"the source {message.source} is closed, or there is none")
        configuration, key = loaded.configuration, what.key or ""

        async def send() -> str:
            try:
                return await self.send(self.client, configuration, self.secrets, message, text, key)
            except (SendRefused, SendFailed):
                raise
            except Exception as error:  # never again and again without end: somebody gets these messages
                log.exception("%s was not sent", key)
                raise SendFailed(type(error).__name__, False) from error

        return await self.deliveries.once(key, send)

    def _sent(self, message: Message, delivery: Delivery, until: datetime) -> Sent:
        id = conversation.id_of(message.source, message.conversation) if message.conversation else ""
        return Sent(delivery.external_id, id, message.sender.id, self._left(until))

    def _left(self, until: datetime) -> float:
        return (until - self.clock()).total_seconds()

    async def _found(self, follow_up: FollowUp) -> _Found:
        """Raises LogUnavailable: the record is there as soon as the log is up to date."""
        stored = await self.store.load(StreamId(record.record.category, follow_up.record_id), latest=True)
        events = [self.store.decode(event) for event in stored]
        state = record.record.fold(events)
        if not isinstance(state, record.Known):
            raise LogUnavailable(f"the record {follow_up.record_id} is not there yet")
        return _Found(state, [(event, known.time) for event, known in zip(events, stored, strict=True)])

    async def _fields(self, found: _Found, gaps: tuple[str, ...]) -> list[Field]:
        """As the schema has them that the record was scored by, in its order; else as much as a path tells."""
        scored = found.state.assessment
        schema = await self._schema(scored.schema_name, scored.schema_version) if scored else None
        known = {field.path: field for field in schema.fields} if schema else {}
        return [known.get(path) or Field(path) for path in gaps]

    async def _schema(self, name: str, version: int) -> Schema | None:
        published = (await self.aggregates.load(record_schema.record_schema, name, latest=True)).state
        return published.versions.get(version) if isinstance(published, record_schema.Known) else None


def _standing(follow_up: FollowUp, found: _Found) -> Standing:
    """Raises LogUnavailable for one that was never asked, CalendarUnknown."""
    stands = standing(found.history, follow_up.number, follow_up.chase, holidays_of(follow_up.chase.calendar))
    if stands is None:
        raise LogUnavailable(f"{follow_up.record_id} does not say yet that it was asked about")
    return stands


def _about(follow_up: FollowUp, message: Message) -> About:
    """The day is the sender's. Raises CalendarUnknown."""
    sent_on = message.sent_at.astimezone(zone_of(follow_up.chase.calendar)).date()
    return About(follow_up.record_id, sent_on, message.sender.name, message.metadata.get("subject", ""))


def _still_missing(state: record.Known, gaps: tuple[str, ...]) -> tuple[str, ...]:
    """Of what was asked; all of it where nothing is known to have come."""
    missing = state.assessment.root_gaps if state.assessment else ()
    return tuple(path for path in gaps if path in missing) or gaps
