"""The one place where commands become events.

A command's events and its own record are written in one atomic batch, so the log holds both or neither; the
record's stream admits one version, so a command id has one outcome for ever. See docs/guarantees.md.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from domain import command as record
from domain.decider import Decider, Refusal
from domain.workflow import Value
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.catalogue import tag_of
from eventstore.envelope import Context, Recorded, StreamId, new_id, now
from eventstore.errors import LogUnavailable, UnknownEvent, WrongVersion
from eventstore.store import Appended, EventStore, StreamWrite
from eventstore.subjects import is_valid_id
from handlers.command import Caller, CausedEvent, CommandRequest, Directive, Fault, InvalidCommand, Outcome
from handlers.large_inputs import set_aside
from handlers.resolve import resolve
from handlers.routes import Route
from handlers.text import one_line

_ATTEMPTS: Final = 50
_json = msgspec.json.Encoder()


class _Addressed(NamedTuple):
    """A command that is ready to be decided."""

    id: str
    type: str
    decider: Decider[Any, Any, Any]
    stream: StreamId
    command: Any
    data: bytes
    expected_version: int | None
    context: Context
    """What its record carries; its events carry the command as their cause."""
    stored: Value | None = None
    """Its input, where that is large."""


class _Decision(NamedTuple):
    """What one command would write: events of one or more streams, then its record."""

    addressed: _Addressed
    writes: list[StreamWrite]
    refused: bool
    leaves: bool = False
    """An aggregate that has a part in it is left as it is."""

    @property
    def is_unchecked(self) -> bool:
        """The log is not asked whether what was decided on is how an aggregate stands."""
        return self.leaves or len(self.writes) == 1


class CommandHandler:
    """Safe for any number of concurrent callers; one a process."""

    def __init__(self, store: EventStore, aggregates: Aggregates, routes: Mapping[str, Route]) -> None:
        self._store = store
        self._aggregates = aggregates
        self._blobs = Blobs(store.connection)
        self.routes = routes

    async def handle(self, request: CommandRequest, caller: Caller, *, timeout: float = 10.0) -> Outcome:
        """The command's outcome, recorded now or earlier (`duplicate`).

        Raises InvalidCommand (nothing recorded) with every fault, WriteTooLarge, or LogUnavailable: then the same
        request may be sent again with the same id.
        """
        addressed = await self._with_stored_input(self._address(request, caller))
        outcomes = await self._transact([addressed], (), timeout)
        return outcomes[0]

    async def direct(
        self, directives: Sequence[Directive], caller: Caller, also: Sequence[StreamWrite] = ()
    ) -> list[Outcome]:
        """Commands from within, all accepted and written together with `also`, or none of them.

        When one is refused, only the refusals are recorded, `also` is not written, and the outcomes say so.
        Raises WrongVersion when a stream of `also` is elsewhere, LogUnavailable.
        """
        moment = now()
        addressed = [
            await self._with_stored_input(self._address_directive(directive, caller, moment))
            for directive in directives
        ]
        return await self._transact(addressed, also, 15.0)

    async def outcome(self, command_id: str) -> Outcome | None:
        """The recorded outcome of a command, None when no such command was ever recorded."""
        if not is_valid_id(command_id):
            return None
        found = await self._store.load(StreamId(record.CATEGORY, command_id), latest=True)
        return self._from_record(found[0]) if found else None

    def _address(self, request: CommandRequest, caller: Caller) -> _Addressed:
        faults = _faults(request)
        route = self.routes.get(request.type)
        if route is None or route.internal:
            faults.append(Fault("/type", f"there is no command {request.type!r}"[:300]))
            raise InvalidCommand(faults)
        if request.stream_category not in (None, route.decider.category):
            faults.append(Fault("/stream/category", f"{request.type} is for {route.decider.category} streams"))
        try:
            command = route.decode(request.data)
        except InvalidCommand as invalid:
            raise InvalidCommand([*faults, *invalid.faults]) from invalid
        if faults:
            raise InvalidCommand(faults)
        command_id = request.id or new_id()
        return _Addressed(
            command_id,
            request.type,
            route.decider,
            StreamId(route.decider.category, request.stream_id or new_id()),
            command,
            one_line(request.data),
            request.expected_version,
            _context(caller, command_id),
        )

    def _address_directive(self, directive: Directive, caller: Caller, moment: Any) -> _Addressed:
        route = self.routes[tag_of(directive.command)]
        return _Addressed(
            directive.id,
            route.type,
            route.decider,
            StreamId(directive.category, directive.stream_id),
            directive.command,
            _json.encode(directive.command),
            None,
            msgspec.structs.replace(_context(caller, directive.id), time=moment),
        )

    async def _with_stored_input(self, addressed: _Addressed) -> _Addressed:
        stored, data = await set_aside(addressed.command, addressed.data, self._blobs)
        return addressed if stored is None else addressed._replace(stored=stored, data=data)

    async def _transact(
        self, commands: Sequence[_Addressed], also: Sequence[StreamWrite], timeout: float
    ) -> list[Outcome]:
        latest = False
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.uniform(0, min(0.1, 0.002 * 2**attempt)))
            decisions = await self._decide(commands, latest)
            if not latest and any(decision.is_unchecked for decision in decisions):
                # Nothing written means nothing checked by the log: a cached state may be another process's past.
                latest = True
                decisions = await self._decide(commands, latest)
            refused = [decision for decision in decisions if decision.refused]
            chosen = refused or decisions
            writes = [write for decision in chosen for write in decision.writes]
            if not refused:
                writes = [*also, *writes]
            try:
                appended = await self._store.append_all(writes, commands[0].context, timeout=timeout)
            except WrongVersion as conflict:
                lost = StreamId.parse(conflict.stream)
                if lost.category == record.CATEGORY:
                    return await self._first_outcomes(commands)
                if lost in {write.stream for write in also}:
                    raise
                for write in writes:
                    self._aggregates.invalidate(write.stream)
                latest = True
                continue
            self._advance(chosen, appended)
            return self._outcomes(chosen, appended)
        raise LogUnavailable("too many writers want the same stream at once")

    async def _decide(self, commands: Sequence[_Addressed], latest: bool) -> list[_Decision]:
        """Decide one command after the other, each on the state that the ones before it leave behind."""
        working: dict[StreamId, tuple[int, Any]] = {}
        opened = {each.stream for each in commands if type(each.command) in each.decider.opening}

        async def load(decider: Decider[Any, Any, Any], id: str, sure: bool = False) -> tuple[int, Any]:
            stream = StreamId(decider.category, id)
            if stream not in working:
                aggregate = await self._aggregates.load(
                    decider, id, latest=latest or sure, presumed_new=stream in opened
                )
                working[stream] = (aggregate.version, aggregate.state)
            return working[stream]

        return [await self._decide_one(addressed, load, working) for addressed in commands]

    async def _decide_one(
        self, addressed: _Addressed, load: Any, working: dict[StreamId, tuple[int, Any]]
    ) -> _Decision:
        version, _ = await load(addressed.decider, addressed.stream.id)
        if addressed.expected_version not in (None, version):
            refusal = Refusal(
                "version_conflict",
                f"{addressed.stream} is at version {version}, not at {addressed.expected_version}",
            )
            return _refused(addressed, version, refusal)

        async def state_of(decider: Decider[Any, Any, Any], id: str) -> Any:
            return (await load(decider, id, True))[1]

        parts = await resolve(addressed.decider, addressed.stream.id, addressed.command, state_of, addressed.stored)
        if isinstance(parts, Refusal):
            return _refused(addressed, version, parts)
        writes: list[StreamWrite] = []
        leaves = False
        for decider, id, command in parts:
            stream = StreamId(decider.category, id)
            at, state = await load(decider, id)
            events = decider.decide(command, state)
            if isinstance(events, Refusal):
                return _refused(addressed, version, events)
            if events:
                writes.append(StreamWrite(stream, at, events, _caused_by(addressed)))
                working[stream] = (at + len(events), decider.fold(events, state))
            leaves = leaves or not events
        return _Decision(addressed, [*writes, _accepted(addressed, writes, working)], refused=False, leaves=leaves)

    def _advance(self, decisions: Sequence[_Decision], appended: Appended) -> None:
        by_stream: dict[StreamId, list[Recorded]] = {}
        for event in appended.events:
            by_stream.setdefault(event.stream, []).append(event)
        for decision in decisions:
            for write in decision.writes:
                if write.stream.category != record.CATEGORY:
                    self._aggregates.advance(write.stream, by_stream.pop(write.stream, []))

    def _outcomes(self, decisions: Sequence[_Decision], appended: Appended) -> list[Outcome]:
        records = {event.stream.id: event for event in appended.events if event.stream.category == record.CATEGORY}
        return [self._from_record(records[decision.addressed.id]) for decision in decisions]

    async def _first_outcomes(self, commands: Sequence[_Addressed]) -> list[Outcome]:
        outcomes = [await self.outcome(command.id) for command in commands]
        return [msgspec.structs.replace(outcome, duplicate=True) for outcome in outcomes if outcome is not None]

    def _from_record(self, event: Recorded) -> Outcome:
        match self._store.decode(event):
            case record.Accepted(command, stream, version, _, events):
                return Outcome(
                    command_id=event.stream.id,
                    command=command,
                    outcome="accepted",
                    stream=StreamId.parse(stream),
                    version=version,
                    position=event.position,
                    time=event.time,
                    events=_caused(events, event.position),
                )
            case record.Refused(command, stream, version, _, refusal, reason):
                return Outcome(
                    command_id=event.stream.id,
                    command=command,
                    outcome="refused",
                    stream=StreamId.parse(stream),
                    version=version,
                    position=event.position,
                    time=event.time,
                    refusal=refusal,
                    reason=reason,
                )
            case _:
                raise UnknownEvent(f"{event.type} is no command record")


def _caused(events: Sequence[record.EventReference], recorded_at: int) -> list[CausedEvent]:
    """A command's events stand right before its record, in order."""
    first = recorded_at - len(events)
    return [CausedEvent(e.type, e.stream, e.version, first + i) for i, e in enumerate(events)]


def _faults(request: CommandRequest) -> list[Fault]:
    faults: list[Fault] = []
    if request.id is not None and not is_valid_id(request.id):
        faults.append(Fault("/id", "must be 1 to 128 letters, digits, _ or -"))
    if request.stream_id is not None and not is_valid_id(request.stream_id):
        faults.append(Fault("/stream/id", "must be 1 to 128 letters, digits, _ or -"))
    if request.expected_version is not None and request.expected_version < 0:
        faults.append(Fault("/expected_version", "must be 0 or more"))
    return faults


def _context(caller: Caller, command_id: str) -> Context:
    return Context(
        time=now(),
        actor=caller.actor,
        correlation_id=caller.correlation_id or command_id,
        causation_id=caller.causation_id,
        tenant=caller.tenant,
        traceparent=caller.traceparent,
    )


def _caused_by(addressed: _Addressed) -> Context:
    return msgspec.structs.replace(addressed.context, causation_id=addressed.id)


def _refused(addressed: _Addressed, version: int, refusal: Refusal) -> _Decision:
    refused = record.Refused(
        addressed.type,
        str(addressed.stream),
        version,
        msgspec.Raw(addressed.data),
        refusal.name,
        refusal.reason,
    )
    return _Decision(addressed, [_record_of(addressed, refused)], refused=True)


def _accepted(
    addressed: _Addressed, writes: Sequence[StreamWrite], working: Mapping[StreamId, tuple[int, Any]]
) -> StreamWrite:
    references = tuple(
        record.EventReference(tag_of(event), str(write.stream), version)
        for write in writes
        for version, event in enumerate(write.events, write.expected_version + 1)
    )
    accepted = record.Accepted(
        addressed.type,
        str(addressed.stream),
        working[addressed.stream][0],
        msgspec.Raw(addressed.data),
        references,
    )
    return _record_of(addressed, accepted)


def _record_of(addressed: _Addressed, event: record.Event) -> StreamWrite:
    return StreamWrite(StreamId(record.CATEGORY, addressed.id), 0, (event,), addressed.context)
