"""A dataset of the latest labelled predictions of a model, as they were observed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from domain import monitor
from domain.experiment import Requested
from domain.pipeline import Feature
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.store import EventStore
from models.data.datasets import Prepared, from_columns
from models.data.tables import Columns, Kinds, TableInvalid
from models.observe.observed import LABEL
from models.observe.recalling import latest_outcomes, tables_kept

LEAST: Final = 50
"""Rows of a dataset, where no drift says that they must be fresh."""


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


class TooFew(NamedTuple):
    """`rows` that could be taken are there: those that were observed and are kept."""

    rows: int


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

    async def assemble(self, requested: Requested, seen: Seen) -> Assembled | TooFew:
        """Of the latest rows that were seen and are kept. Raises LogUnavailable, and TableInvalid where rows lack a
        feature."""
        least, most, after = wanted(requested)
        rows = seen.rows or 0
        if rows - after < least:
            return TooFew(max(0, rows - after))
        take = min(most, rows - after)
        contents = await latest_outcomes(self._store, requested.model_id, seen.version, take)
        names = {**{feature.name: feature.name for feature in requested.features}, requested.target: LABEL}
        columns: Columns = {name: [] for name in names}
        async with aclosing(tables_kept(self._blobs, contents)) as observed:
            async for table in observed:
                if table is None:  # what was seen before is not what came just before the others
                    columns = {name: [] for name in names}
                else:
                    _extend(columns, table, names)
        take = min(take, len(columns[requested.target]))
        if take < least:
            return TooFew(take)
        dataset = await asyncio.to_thread(_last, columns, requested.features, requested.target, take)
        return Assembled(dataset, rows - take + 1, rows)


def _extend(columns: Columns, table: Columns, names: Mapping[str, str]) -> None:
    """`names`: of a column of the dataset, that of the same one as it was observed. Raises TableInvalid."""
    missing = [source for source in names.values() if source not in table]
    if missing:
        raise TableInvalid(tuple(f"observed rows have no column {source!r}" for source in missing))
    for name, source in names.items():
        columns[name] += table[source]


def _last(columns: Columns, features: Sequence[Feature], target: str, rows: int) -> Prepared:
    kinds: Kinds = {**{feature.name: feature.type for feature in features}, target: "category"}
    return from_columns({name: values[-rows:] for name, values in columns.items()}, kinds)
