"""A dataset of the latest labelled predictions of a model, as they were observed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from domain import monitor
from domain.experiment import Requested
from domain.pipeline import Feature
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.envelope import StreamId
from eventstore.store import EventStore
from models.data.datasets import Prepared, from_columns
from models.data.tables import Columns, Kinds, TableInvalid, from_parquet
from models.observe.observed import LABEL

LEAST: Final = 50
"""Rows of a dataset, where no drift says that they must be fresh."""

_PAGE: Final = 64
"""Events of the monitor that are read at a time, latest first; each may hold 10,000 labels."""


class Wanted(NamedTuple):
    """Rows: at least `least` must have come after the first `after` ones; at most `most` of the latest are taken."""

    least: int
    most: int
    after: int


def wanted(requested: Requested) -> Wanted:
    """After drift, the rows from before it say little about the world as it is."""
    training = requested.policy.training
    if requested.trigger == "drift":
        return Wanted(training.fresh, training.rows, requested.since)
    return Wanted(LEAST, training.rows, 0)


class Seen(NamedTuple):
    """`rows` labelled ones up to `version` of the monitor's stream; None: nothing was ever observed."""

    version: int
    rows: int | None


class Assembled(NamedTuple):
    """Rows `first` to `last` of those observed of the model, from 1; `dataset.content` is not stored yet."""

    dataset: Prepared
    first: int
    last: int


class LabelledRows:
    """Safe for any number of concurrent callers."""

    def __init__(self, store: EventStore, aggregates: Aggregates, blobs: Blobs) -> None:
        self._store = store
        self._aggregates = aggregates
        self._blobs = blobs

    async def seen(self, model_id: str) -> Seen:
        """Raises LogUnavailable."""
        version, state = await self._aggregates.load(monitor.monitor, model_id, latest=True)
        match state:
            case monitor.Idle():
                return Seen(version, None)
            case monitor.Watching(rows=rows):
                return Seen(version, rows)

    async def assemble(self, requested: Requested, seen: Seen) -> Assembled | None:
        """The latest rows that were seen; None when there are not enough. Raises LogUnavailable, BlobMissing,
        and TableInvalid where rows lack a feature."""
        least, most, after = wanted(requested)
        rows = seen.rows or 0
        if rows - after < least:
            return None
        take = min(most, rows - after)
        contents = await self._latest(requested.model_id, seen.version, take)
        stored = [await self._blobs.get(content) for content in contents]
        dataset = await asyncio.to_thread(_joined, stored, requested.features, requested.target, take)
        return Assembled(dataset, rows - take + 1, rows)

    async def _latest(self, model_id: str, version: int, rows: int) -> list[str]:
        """Of the observations that hold so many rows, oldest first."""
        contents: list[str] = []
        while version > 0 and rows > 0:
            before = max(0, version - _PAGE)
            stream = StreamId(monitor.monitor.category, model_id)
            events = await self._store.load(stream, after_version=before, limit=version - before, latest=True)
            for event in reversed(events):
                observed = self._store.decode(event)
                if isinstance(observed, monitor.OutcomesObserved) and observed.content is not None and rows > 0:
                    contents.append(observed.content)
                    rows -= observed.rows
            version = before
        return contents[::-1]


def _joined(stored: Sequence[bytes], features: Sequence[Feature], target: str, rows: int) -> Prepared:
    """The last so many of all rows; the label becomes the column `target`."""
    names = {**{feature.name: feature.name for feature in features}, target: LABEL}
    columns: Columns = {name: [] for name in names}
    for content in stored:
        found, _ = from_parquet(content)
        missing = [source for source in names.values() if source not in found]
        if missing:
            raise TableInvalid(tuple(f"observed rows have no column {source!r}" for source in missing))
        for name, source in names.items():
            columns[name] += found[source]
    kinds: Kinds = {**{feature.name: feature.type for feature in features}, target: "category"}
    return from_columns({name: values[-rows:] for name, values in columns.items()}, kinds)
