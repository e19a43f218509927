"""What was recorded of a model that is watched, read back so that detectors go on exactly where they were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Final

from domain import gate, model, monitor
from eventstore.blobs import BlobMissing, Blobs
from eventstore.envelope import Recorded, StreamId, recorded
from eventstore.errors import LogUnavailable
from eventstore.store import EventStore
from eventstore.subjects import stream_filter
from eventstore.tasks import end_tasks
from models.data.tables import Columns, from_parquet
from models.observe.following import Followed
from models.observe.observing import Sources

_PAGE: Final = 500
_LATEST: Final = 64
"""Events that are read at a time where those wanted are among many with labels, up to 10,000 in each."""

_PATIENCE: Final = 10.0
_BLOBS_AT_ONCE: Final = 8
_ROWS: Final = 5_000

Comparison = tuple[str, model.Kind]
"""Of which experiment, and which of its two."""


@dataclass
class Recalled:
    """What is watched at `version` of the monitor's stream, and since its beginning, in order: the contents of those
    observations that have rows, and the drift. `pairs`: the last ones of each comparison."""

    state: monitor.Watching
    version: int
    since: datetime
    inputs: list[str] = field(default_factory=list[str])
    outcomes: list[str] = field(default_factory=list[str])
    drift: list[monitor.Judged] = field(default_factory=list[monitor.Judged])
    pairs: dict[Comparison, gate.Pairs] = field(default_factory=dict[Comparison, gate.Pairs])

    def take(self, data: monitor.Event) -> None:
        match data:
            case monitor.InputsObserved(content=content) if content is not None:
                self.inputs.append(content)
            case monitor.OutcomesObserved(content=content) if content is not None:
                self.outcomes.append(content)
            case monitor.Judged():
                self.drift.append(data)
            case monitor.ComparisonJudged(_, compared):
                self.pairs[compared.experiment_id, compared.kind] = compared.judgement.pairs
            case monitor.InputsObserved() | monitor.OutcomesObserved() | monitor.LabelsRecorded() | monitor.Began():
                pass


async def recall(sources: Sources, model_id: str, followed: Followed) -> Recalled | None:
    """None when nothing has begun since the model's `turn`, or with another version than the one in use.

    Raises LogUnavailable, HistoryBroken, UnknownEvent.
    """
    version, state = await sources.aggregates.load(monitor.monitor, model_id, latest=True)
    if followed.turn is None or followed.known is None or not isinstance(state, monitor.Watching):
        return None
    turn = followed.turn.position
    after = min(turn, followed.comparing.position) if followed.comparing else turn
    recalled = Recalled(state, version, followed.turn.time)
    began = False
    stream = StreamId(monitor.monitor.category, model_id)
    async with aclosing(_events(sources.store, stream, after, version)) as events:
        async for event in events:
            data = sources.store.decode(event)
            if isinstance(data, monitor.Began) and event.position > turn:
                began, recalled = True, Recalled(state, version, event.time, pairs=recalled.pairs)
            recalled.take(data)
    return recalled if began and state.began.version == followed.known.active else None


async def _events(store: EventStore, stream: StreamId, after: int, version: int) -> AsyncGenerator[Recorded]:
    """Those above a position of the log, up to a version that is known to be there."""
    subject, deadline = stream_filter(store.location, stream), monotonic() + _PATIENCE
    (last,) = await store.load(stream, after_version=version - 1, limit=1, latest=True)
    while after < last.position:
        page = await store.reader.page(after, _PAGE, subject=subject)
        for event in (recorded(*each) for each in page):
            if event.position <= last.position:
                yield event
            after = event.position
        if page:
            deadline = monotonic() + _PATIENCE
        elif monotonic() > deadline:
            raise LogUnavailable(f"the log does not show {stream} at version {version}")
        else:  # it was a follower that answered, and it is behind
            await asyncio.sleep(0.05)


async def latest_outcomes(store: EventStore, model_id: str, version: int, rows: int) -> list[str]:
    """The contents of the latest observations that hold so many labelled rows (or all), oldest first."""
    contents: list[str] = []
    while version > 0 and rows > 0:
        before = max(0, version - _LATEST)
        stream = StreamId(monitor.monitor.category, model_id)
        for event in reversed(await store.load(stream, after_version=before, limit=version - before, latest=True)):
            match store.decode(event):
                case monitor.OutcomesObserved(number=number, rows=found, content=content):
                    contents += [content] if content is not None and rows > 0 else []
                    rows = 0 if number == 1 else rows - found
                case _:
                    pass
        version = before
    return contents[::-1]


async def long_tables(blobs: Blobs, contents: Sequence[str]) -> AsyncGenerator[Columns]:
    """The same rows in fewer tables. All have the same columns."""
    joined: Columns = {}
    async with aclosing(tables(blobs, contents)) as found:
        async for columns in found:
            for name, values in columns.items():
                joined.setdefault(name, []).extend(values)
            if len(next(iter(joined.values()))) >= _ROWS:
                yield joined
                joined = {}
    if joined:
        yield joined


async def tables(blobs: Blobs, contents: Sequence[str]) -> AsyncGenerator[Columns]:
    """In order. Raises BlobMissing, TableInvalid, LogUnavailable."""
    async with aclosing(tables_kept(blobs, contents)) as found:
        async for columns in found:
            if columns is None:
                raise BlobMissing("observed rows are kept no longer")
            yield columns


async def tables_kept(blobs: Blobs, contents: Sequence[str]) -> AsyncGenerator[Columns | None]:
    """In order, some of them on their way while one is worked on; None for those that are kept no longer.

    Raises TableInvalid, LogUnavailable.
    """
    coming: list[asyncio.Task[Columns | None]] = []
    try:
        for number, content in enumerate(contents):
            coming.append(asyncio.create_task(_table(blobs, content)))
            if number >= _BLOBS_AT_ONCE:
                yield await coming.pop(0)
        while coming:
            yield await coming.pop(0)
    finally:
        await end_tasks(*coming)


async def _table(blobs: Blobs, content: str) -> Columns | None:
    try:
        stored = await blobs.get(content)
    except BlobMissing:
        return None
    columns, _ = await asyncio.to_thread(from_parquet, stored)
    return columns
