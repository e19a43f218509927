"""What became of predictions: labels are joined with them, and show how often the version in use errs, and whether
another one would have been right more often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from domain import gate, monitor
from domain.detectors import ErrorDetector
from domain.pipeline import Feature
from eventstore.blobs import OBSERVED, BlobMissing
from eventstore.envelope import StreamId
from eventstore.store import EventStore
from models.data.tables import to_parquet
from models.observe import observations
from models.observe.comparing import Terms, Versions, compared, terms_of
from models.observe.following import Followed
from models.observe.grouping import grouped
from models.observe.joining import REMEMBERED, Given, Joined, Remembered, join
from models.observe.observations import Answers, Table
from models.observe.observed import ID, WRONG
from models.observe.observing import Sources
from models.observe.recalling import Comparison, Recalled, latest_outcomes, tables, tables_kept
from models.observe.referencing import begin_anew

LABELS: Final = 10_000
"""At least so many are observed together, where so many come in time."""

_PAGE: Final = 500

LabelEvent = tuple[int, list[Given]]
"""The version of an event with labels, and these."""


async def labels_after(
    store: EventStore, model_id: str, version: int, heard: asyncio.Event
) -> AsyncGenerator[LabelEvent]:
    """The events with labels above a version of the monitor's stream, for ever; `heard` is set when more may be there.

    Raises LogUnavailable, HistoryBroken, UnknownEvent.
    """
    stream = StreamId(monitor.monitor.category, model_id)
    while True:
        heard.clear()
        events = await store.load(stream, after_version=version, limit=_PAGE, latest=True)
        for event in events:
            version = event.version
            data = store.decode(event)
            if isinstance(data, monitor.LabelsRecorded):
                yield version, [Given(event.position, label) for label in data.labels]
        if not events:
            await heard.wait()


@dataclass
class _Watched:
    """One version in use, from a beginning on: what its labelled rows have come to so far."""

    began: monitor.Began
    beginning: int
    errors: ErrorDetector
    remembered: Remembered
    pairs: dict[Comparison, gate.Pairs]


class Outcomes:
    """Of one model. `followed` says what is known of it at the moment."""

    def __init__(
        self, sources: Sources, model_id: str, features: Sequence[Feature], followed: Callable[[], Followed]
    ) -> None:
        self._sources = sources
        self._model_id = model_id
        self._features = features
        self._followed = followed
        self._versions = Versions(sources.blobs)

    async def watch(self, recalled: Recalled, heard: asyncio.Event) -> None:
        """For ever, or until its detectors are to begin anew. Raises Overtaken, and what reading, storing and
        reporting raise: then it is to begin again."""
        try:
            watched = await self._watched(recalled)
        except BlobMissing:
            await stand_by_for_labels(self._sources, self._model_id, heard)  # as for inputs
            await begin_anew(self._sources, self._model_id, recalled.state.beginnings)
            return
        labels = labels_after(self._sources.store, self._model_id, recalled.state.labels_to, heard)
        pace = self._sources.pace
        groups = grouped(labels, lambda each: len(each[1]), LABELS, lambda: pace.patience(recalled.since))
        async with aclosing(groups):
            async for group in groups:
                first, last = group[0][0], group[-1][0]
                command = await self._observed(watched, first, last, [each for _, labels in group for each in labels])
                id = f"observe-{self._model_id}-{watched.beginning}-out-{first}-{last}"
                await self._sources.observe(self._model_id, command, id)

    async def _watched(self, recalled: Recalled) -> _Watched:
        """As it was after the last recorded observation."""
        began = recalled.state.began
        errors, remembered = ErrorDetector(began.holdout, began.thresholds), Remembered()
        async with aclosing(tables(self._sources.blobs, recalled.outcomes)) as found:
            async for columns in found:
                errors.see(observations.wrong_in(columns, began.version))
        before = await latest_outcomes(self._sources.store, self._model_id, recalled.version, REMEMBERED)
        async with aclosing(tables_kept(self._sources.blobs, before)) as found:
            async for columns in found:
                for id in columns[ID] if columns else ():
                    remembered.is_new(str(id))
        return _Watched(began, recalled.state.beginnings, errors, remembered, dict(recalled.pairs))

    async def _observed(
        self, watched: _Watched, first: int, last: int, given: Sequence[Given]
    ) -> monitor.ObserveOutcomes:
        find = partial(self._sources.predictions.find, self._model_id)
        joined = await join(given, find, watched.remembered)
        if not joined.rows:
            return monitor.ObserveOutcomes(
                watched.beginning, first, last, 0, 0, 0, joined.unmatched, None, wrong_of_version=0
            )
        terms = await terms_of(self._sources, self._followed(), watched.began.version)
        answers = await self._versions.answers(terms, joined.rows) if terms else None
        table, wrong = await asyncio.to_thread(_rows, joined, self._features, answers, watched.began.version)
        verdicts = await asyncio.to_thread(watched.errors.see, wrong)
        return monitor.ObserveOutcomes(
            watched.beginning,
            first,
            last,
            table.rows,
            sum(each == 1.0 for each in table.columns[WRONG]),
            len(wrong),
            joined.unmatched,
            await self._sources.blobs.put(await asyncio.to_thread(to_parquet, table.columns, table.kinds), OBSERVED),
            observations.recorded_verdicts(verdicts),
            _compared(terms, watched, table) if terms and answers else None,
            sum(wrong),
        )


def _rows(
    joined: Joined, features: Sequence[Feature], answers: Answers | None, version: str
) -> tuple[Table, list[bool]]:
    """And which of those that the version predicted are wrong."""
    table = observations.of_outcomes(joined.rows, features, answers)
    return table, observations.wrong_in(table.columns, version)


def _compared(terms: Terms, watched: _Watched, table: Table) -> monitor.Compared:
    """On all rows since the comparison began."""
    key = terms.comparison.experiment_id, terms.comparison.kind
    watched.pairs[key] = watched.pairs.get(key, gate.Pairs()) + observations.pairs_in(table.columns)
    return compared(terms, watched.pairs[key])


async def stand_by_for_labels(sources: Sources, model_id: str, heard: asyncio.Event) -> None:
    """Until a label has waited for longer than another observer would let it."""
    while True:
        _, state = await sources.state(model_id)
        async with aclosing(labels_after(sources.store, model_id, state.labels_to, heard)) as labels:
            version, _ = await anext(labels)
        await asyncio.sleep(sources.pace.standby * random.uniform(1, 1.5))
        _, state = await sources.state(model_id)
        if state.labels_to < version:
            return
