"""The live tables of all projections: a batch of events changes them and their checkpoints in one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from eventstore.envelope import Recorded, StreamId
from eventstore.errors import HistoryBroken
from eventstore.store import EventStore
from eventstore.streams import LogState
from projections.checkpoint import Checkpoint, load_checkpoints, save_checkpoints
from projections.folding import Decoded, Folding
from projections.outages import is_outage
from projections.projection import Projection
from projections.tables import Connection, create_indexes, create_meta, create_tables, have_the_shape

log = logging.getLogger(__name__)

CHANNEL: Final = "projections"
"""PostgreSQL notifications of new positions: hints for those who wait, never the only way."""


class LiveTables:
    """`connection` holds the lease: whoever has lost it can write no more."""

    def __init__(self, store: EventStore, connection: Connection, projections: Iterable[Projection]) -> None:
        self._store = store
        self.connection = connection
        self.projections = {projection.name: projection for projection in projections}
        self.checkpoints: dict[str, Checkpoint] = {}
        self._foldings = {name: Folding(each, name) for name, each in self.projections.items()}
        self._head_at_start = 0
        self.position = 0
        """Everything up to here has been offered to every active projection."""
        self.still = asyncio.Lock()
        """While it is held, the tables and checkpoints stay as they are."""

    async def prepare(self, *, retry_halted: bool) -> set[str]:
        """Make what is missing; the names of the projections whose tables must be built anew."""
        await create_meta(self.connection)
        state = await self._store.state()
        self._head_at_start = state.last
        known = await load_checkpoints(self.connection)
        due = {
            name
            for name, projection in self.projections.items()
            if await self._is_due(projection, known.get(name), state, retry_halted)
        }
        self.position = min((each.position for each in self.active()), default=state.last)
        await self._index_what_is_up_to_date()
        return due

    def active(self) -> list[Checkpoint]:
        return [self.checkpoints[name] for name in self.projections if self.checkpoints[name].is_active]

    async def _is_due(
        self, projection: Projection, known: Checkpoint | None, state: LogState, retry_halted: bool
    ) -> bool:
        if known is None or (known.state == "building" and known.fingerprint != projection.fingerprint):
            await self._create(projection, state)
            return False
        self.checkpoints[projection.name] = known
        obstacle = await self._changed_log(known, state.last)
        if obstacle is None and not await have_the_shape(self.connection, projection, projection.name):
            obstacle = "its tables were made by another version and are built anew"
        if obstacle is not None:
            await self.halt(projection.name, obstacle)
        elif known.state == "halted" and retry_halted:
            # The program may have learnt since to take the event. Its indexes may not be there yet.
            await self._save(known.becomes("building"))
        return (
            known.fingerprint != projection.fingerprint
            or known.rebuild_position is not None
            or await self._last_request(projection.name) > known.built_at
        )

    async def _create(self, projection: Projection, state: LogState) -> None:
        async with self.connection.transaction():
            await create_tables(self.connection, projection, projection.name)
            await self._save(Checkpoint.first(projection.name, state.created, projection.fingerprint, state.last))

    async def _changed_log(self, known: Checkpoint, last: int) -> str | None:
        """Why the log is not the one this projection has read; None when it is."""
        if known.position == 0:
            return None
        if known.position > last:
            return f"the log ends at {last}, before the position {known.position} this projection has read"
        event = await self._store.reader.at(known.position)
        if event is None or event.hash != known.event_hash:
            return f"the log has changed: position {known.position} holds another event than it did"
        return None

    async def _last_request(self, name: str) -> int:
        """The position of the last request for a rebuild: none is lost to a crash between reading and doing."""
        try:
            requests = await self._store.load(StreamId("projection", name))
        except HistoryBroken as error:
            log.error("no request to rebuild %s can be read: %s", name, error)
            return 0
        return requests[-1].position if requests else 0

    async def apply(self, batch: list[Recorded]) -> None:
        """Each active projection takes all of the batch, or is halted at the event that it cannot take."""
        async with self.still:
            names = [checkpoint.name for checkpoint in self.active()]
            try:
                await self._commit(names, batch)
            except Exception as error:
                if is_outage(error):
                    raise
                for name in names:
                    await self._commit_alone(name, batch)
            self.position = batch[-1].position
            await self._index_what_is_up_to_date()

    async def _commit_alone(self, name: str, batch: list[Recorded]) -> None:
        """Event by event, so that the culprit is known and everything before it counts."""
        try:
            return await self._commit([name], batch)
        except Exception as error:
            if is_outage(error):
                raise
        for event in batch:
            try:
                await self._commit([name], [event])
            except Exception as error:
                if is_outage(error):
                    raise
                log.exception("projection %s cannot take position %d", name, event.position)
                where = f"position {event.position} ({event.type} {event.envelope.id})"
                return await self.halt(name, f"{where}: {error or type(error).__name__}")

    async def _commit(self, names: Sequence[str], batch: list[Recorded]) -> None:
        by_category = self._decoded(names, batch)
        last = batch[-1]
        after = [
            self.checkpoints[name].moved(last) for name in names if self.checkpoints[name].position < last.position
        ]
        try:
            async with self.connection.transaction():
                for name in names:
                    folding = self._foldings[name]
                    events = _in_order([by_category[category] for category in folding.projection.categories])
                    position = self.checkpoints[name].position
                    if batch[0].position <= position:
                        events = [each for each in events if each[0].position > position]
                    await folding.apply(self.connection, events)
                await save_checkpoints(self.connection, after)
                await self.connection.execute("SELECT pg_notify($1, $2)", CHANNEL, str(last.position))
        except BaseException:
            for name in names:
                self._foldings[name].forget()
            raise
        self.checkpoints.update((checkpoint.name, checkpoint) for checkpoint in after)

    def _decoded(self, names: Sequence[str], batch: list[Recorded]) -> dict[str, list[Decoded]]:
        decode = self._store.decode
        found: dict[str, list[Decoded]] = {
            category: [] for name in names for category in self.projections[name].categories
        }
        for event in batch:
            events = found.get(event.envelope.stream.partition("/")[0])
            if events is not None:
                events.append((event, decode(event)))
        return found

    async def _index_what_is_up_to_date(self) -> None:
        for checkpoint in self.active():
            if checkpoint.state == "building" and checkpoint.position >= self._head_at_start:
                async with self.connection.transaction():
                    await create_indexes(self.connection, self.projections[checkpoint.name], checkpoint.name)
                    await save_checkpoints(self.connection, [checkpoint.becomes("live")])
                self.checkpoints[checkpoint.name] = checkpoint.becomes("live")

    async def halt(self, name: str, reason: str) -> None:
        await self._save(self.checkpoints[name].becomes("halted", reason))

    async def halt_all(self, reason: str) -> None:
        for checkpoint in self.active():
            await self.halt(checkpoint.name, reason)

    async def _save(self, checkpoint: Checkpoint) -> None:
        await save_checkpoints(self.connection, [checkpoint])
        self.checkpoints[checkpoint.name] = checkpoint

    def replaced(self, checkpoint: Checkpoint) -> None:
        """Other tables stand under this name now; the caller holds `still`."""
        self.checkpoints[checkpoint.name] = checkpoint
        self._foldings[checkpoint.name] = Folding(self.projections[checkpoint.name], checkpoint.name)


def _in_order(parts: list[list[Decoded]]) -> list[Decoded]:
    if len(parts) == 1:
        return parts[0]
    return sorted((each for part in parts for each in part), key=lambda each: each[0].position)
