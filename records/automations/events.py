"""Events that set a rule off, of our own and of other systems, each once and in the order of the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from domain import expressions
from domain.contexts import DECIDERS
from domain.event_trigger import MOST_HOPS, OWN, EventTrigger, Sighting, actor_of, is_meant, origin_of
from domain.expressions import Unanswerable, compiled, holds
from domain.inbound import Received
from eventstore.aggregates import Aggregates
from eventstore.envelope import Recorded, recorded
from eventstore.reader import Raw
from eventstore.store import EventStore
from eventstore.subjects import is_valid_id
from records.automations.listening import STRIDE, Listening, Subscription, sighting
from records.automations.occurrence import Cause, Facts, Looked, Occurrence, Repeated

_PAGE: Final = 500
_PAUSE: Final = 0.1
"""Seconds until what a follower of the log's leader does not know yet is asked for again."""

_KINDS: Final = {decider.category: decider for decider in DECIDERS}


@dataclass(frozen=True)
class EventRule:
    """`triggering` is what sets the automation `id` off."""

    id: str
    triggering: EventTrigger
    store: EventStore
    aggregates: Aggregates
    listening: Listening

    async def occurrences(self, after: int) -> AsyncGenerator[Occurrence | Repeated | Looked]:
        """For ever, from the event after a position. Raises EventStoreError."""
        told = after
        async with contextlib.aclosing(_wanted(self.listening, self.store, self._wants, after)) as found:
            async for each in found:
                if isinstance(each, _Passed):
                    far = each.position - told >= STRIDE
                    told = each.position if far else told
                    yield Looked(str(each.position) if far else None, each.all)
                elif occurred := await self._occurrence(recorded(*each)):
                    told = each[0]
                    yield occurred

    def _wants(self, seen: Sighting) -> bool:
        return is_meant(self.triggering, seen)

    async def _occurrence(self, event: Recorded) -> Occurrence | Repeated | None:
        """None where the rule's condition does not hold, and for what it did itself."""
        if event.envelope.actor == actor_of(self.id):
            return None
        described, correlation = _described(event, self.store.decode(event))
        origin = origin_of(correlation)
        scope: dict[str, Any] = {"event": described}
        barred = f"{origin.hops} rules in a row have set each other off" if origin.hops >= MOST_HOPS else ""
        try:
            scope["state"] = await self._states(scope)
            if self.triggering.where and not holds(expressions.value(compiled(self.triggering.where), Facts(scope))):
                return None
            if origin.holds(self.id):
                return Repeated()
        except Unanswerable as error:
            barred = f"where: {error.reason}"
        fields = _fields(described["data"], foreign=described["source"] != OWN)
        return Occurrence(
            event.envelope.id,
            f"{described['type']} of {described['stream'] if described['source'] == OWN else described['source']}",
            event.time,
            _values(described, fields),
            fields=fields,
            barred=barred,
            cursor=str(event.position),
            facts=scope,
            cause=Cause(
                event.envelope.id,
                correlation,
                origin.further(self.id),
                event.envelope.tenant,
                event.envelope.traceparent,
            ),
        )

    async def _states(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """None for an aggregate that is not there. Raises Unanswerable, EventStoreError."""
        states: dict[str, Any] = {}
        for name, of in self.triggering.state.items():
            kind, id = _KINDS[of.category], expressions.filled(of.id, Facts(scope))
            states[name] = None
            if isinstance(id, str) and is_valid_id(id):
                state = (await self.aggregates.load(kind, id, latest=True)).state
                states[name] = None if state == kind.initial else _plain(state)
        return states


def _described(event: Recorded, data: Any) -> tuple[dict[str, Any], str]:
    """What expressions see as `event`, and the conversation that it belongs to."""
    envelope = event.envelope
    known: dict[str, Any] = {
        "stream": envelope.stream,
        "position": event.position,
        "actor": envelope.actor,
        "correlation": envelope.correlationid,
    }
    if isinstance(data, Received):
        document: dict[str, Any] = msgspec.json.decode(data.document)
        known |= {
            "id": data.id,
            "type": data.kind,
            "source": data.source,
            "subject": document.get("subject"),
            "time": document.get("time") or envelope.time.isoformat(),
            "data": document.get("data"),
            "actor": document.get("actor") or data.source,
            "correlation": str(document.get("correlationid") or envelope.correlationid),
        }
    else:
        known |= {
            "id": envelope.id,
            "type": envelope.type,
            "source": OWN,
            "subject": event.stream.id,
            "time": envelope.time.isoformat(),
            "data": _plain(data),
        }
    return known, known["correlation"]


def _fields(data: Any, *, foreign: bool) -> dict[str, Any]:
    """Without the type, which the data of our own events name as well."""
    if not isinstance(data, dict):
        return {}
    return {str(name): value for name, value in data.items() if foreign or name != "type"}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _values(event: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, str]:
    plain = {name: str(value) for name, value in fields.items() if isinstance(value, str | int | float)}
    named = ("id", "type", "source", "subject", "time", "stream", "actor")
    return plain | {name: str(event[name] or "") for name in named}


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


class _Passed(NamedTuple):
    """Nothing is left up to `position`; `all`: nor after it, for now."""

    position: int
    all: bool


_Found = Raw | _Passed


async def _wanted(
    listening: Listening, store: EventStore, wants: Callable[[Sighting], bool], after: int
) -> AsyncGenerator[_Found]:
    """Every event after a position that is wanted, in order."""
    position = after
    while True:
        subscription = listening.subscribe(wants, position)
        try:
            async with contextlib.aclosing(_told(subscription, store, position)) as found:
                async for each in found:
                    position = each[0]
                    yield each
        finally:
            listening.unsubscribe(subscription)
        async with contextlib.aclosing(_paged(store, wants, position, None)) as found:
            async for each in found:
                position = each[0]
                yield each


async def _told(subscription: Subscription, store: EventStore, after: int) -> AsyncGenerator[_Found]:
    """Until so many wait that they are better read in pages."""
    position = after
    while subscription.begins is None:
        await subscription.next()
    async with contextlib.aclosing(_paged(store, subscription.wants, position, subscription.begins)) as found:
        async for each in found:
            position = each[0]
            yield each
    if subscription.caught_up:
        yield _Passed(position, True)
    while not (subscription.overflown and subscription.is_empty):
        event = await subscription.next()
        if event is not None and event[0] > position:
            position = event[0]
            yield event
        elif event is None and not subscription.overflown:
            position = max(position, subscription.reached)
            yield _Passed(position, subscription.caught_up)


async def _paged(
    store: EventStore, wants: Callable[[Sighting], bool], after: int, until: int | None
) -> AsyncGenerator[_Found]:
    """The same up to a position that the log has, or to where it seems to end."""
    position = after
    while until is None or position < until:
        page = await store.reader.page(position, _PAGE)
        if not page and until is None:
            return
        if not page:
            await asyncio.sleep(_PAUSE)
        for event in page:
            position = event[0]
            if wants(sighting(event[1])):
                yield event
        yield _Passed(position, False)
