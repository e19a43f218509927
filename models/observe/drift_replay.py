"""Verdicts of drift and of comparisons, computed again from what was recorded: by the same policy they are the same
events, bit for bit; by another one they are what it would have said of the same rows.

The decider is given the recorded observations again, with the windows, verdicts and judgements that the detectors and
the gate find in the stored rows. Which comparison it was is taken from the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import structs

from domain import gate, monitor
from domain.decider import Refusal
from domain.detectors import ErrorDetector, InputDetectors, Reference, thresholds
from domain.drift_reference import Numbers
from domain.model_policy import Monitoring
from eventstore.blobs import BlobMissing
from models.data.tables import Columns, from_parquet
from models.observe import observations
from models.observe.drift_policy import AS_RECORDED, Policy
from models.observe.observed import VERSION, WRONG
from models.observe.recalling import Comparison
from models.observe.referencing import Get, read_reference

Said = monitor.Judged | monitor.ComparisonJudged


class Step(NamedTuple):
    """One observation: what was written of it, and what is said of it now, with the `monitoring` of now. Beginnings
    count from 1."""

    beginning: int
    began: monitor.Began
    monitoring: Monitoring
    recorded: tuple[monitor.Event, ...]
    replayed: tuple[monitor.Event, ...]


class UnfoundedVerdict(Exception):
    """It follows from nothing on record."""


async def verdicts(events: Iterable[monitor.Event], get: Get) -> list[Said]:
    """Of all that is recorded of one model, in order. Raises as `steps`."""
    found = [event async for step in steps(_each(events), get) for event in step.replayed]
    return [event for event in found if isinstance(event, monitor.Judged | monitor.ComparisonJudged)]


async def steps(
    events: AsyncIterable[monitor.Event], get: Get, policy: Policy = AS_RECORDED, first: int = 1
) -> AsyncGenerator[Step]:
    """Of the events of one model's monitor, from the very first one on; observations of beginnings before `first` are
    not looked at. Where rows are kept no longer, what was observed after them in the same beginning (of inputs, or of
    outcomes) is passed over. Raises UnfoundedVerdict, TableInvalid, and what `get` raises."""
    state: monitor.State = monitor.monitor.initial
    detectors: _Detectors | None = None
    pairs: dict[Comparison, gate.Pairs] = {}
    cut: set[type[monitor.Event]] = set()
    async for written in _written_together(events):
        match written[0]:
            case monitor.Began() as began:
                number = state.beginnings + 1 if isinstance(state, monitor.Watching) else 1
                detectors = await _detectors(began, get, policy) if number >= first else None
                cut = set()
            case monitor.InputsObserved() | monitor.OutcomesObserved() as observed:
                if isinstance(state, monitor.Watching) and detectors is not None and type(observed) not in cut:
                    try:
                        columns = await _rows(observed.content, get)
                    except BlobMissing:
                        cut.add(type(observed))
                    else:
                        command = await asyncio.to_thread(detectors.observe, columns, written, state, pairs)
                        yield Step(
                            state.beginnings, state.began, detectors.monitoring, written, _decided(command, state)
                        )
                pairs.update((_key(each), each.judgement.pairs) for each in _comparisons(written))
            case monitor.Judged(number) | monitor.ComparisonJudged(number):
                raise UnfoundedVerdict(f"verdict {number} follows from nothing on record")
            case monitor.LabelsRecorded():
                pass
        state = monitor.monitor.fold(written, state)


class _Detectors:
    """Of one beginning."""

    def __init__(self, began: monitor.Began, reference: Reference, policy: Policy) -> None:
        numeric = sum(isinstance(column, Numbers) for column in reference.columns.values())
        self.monitoring = policy.instead_of(began.monitoring)
        found = thresholds(self.monitoring, numeric, len(reference.columns) - numeric)
        self._inputs = InputDetectors(reference, found, self.monitoring)
        self._errors = ErrorDetector(began.holdout, found)
        self._policy = policy

    def observe(
        self,
        columns: Columns | None,
        written: Sequence[monitor.Event],
        state: monitor.Watching,
        pairs: Mapping[Comparison, gate.Pairs],
    ) -> monitor.Command:
        """`pairs` of the comparisons, before these rows."""
        match written[0]:
            case monitor.InputsObserved() as observed:
                return self._inputs_again(observed, columns, state)
            case monitor.OutcomesObserved() as observed:
                return self._outcomes_again(observed, columns, _comparisons(written), state, pairs)
            case _:
                raise TypeError(written[0])

    def _inputs_again(
        self, observed: monitor.InputsObserved, columns: Columns | None, state: monitor.Watching
    ) -> monitor.ObserveInputs:
        predictions = observations.predictions_in(columns) if columns else []
        windows, verdicts = self._inputs.see(columns, predictions) if columns else ((), ())
        return monitor.ObserveInputs(
            state.beginnings,
            observed.first,
            observed.last,
            len(predictions),
            observed.content,
            observations.recorded_windows(windows),
            observations.recorded_verdicts(verdicts),
        )

    def _outcomes_again(
        self,
        observed: monitor.OutcomesObserved,
        columns: Columns | None,
        compared: Sequence[monitor.Compared],
        state: monitor.Watching,
        pairs: Mapping[Comparison, gate.Pairs],
    ) -> monitor.ObserveOutcomes:
        rows = columns or {WRONG: [], VERSION: []}
        wrong = observations.wrong_in(rows, state.began.version)
        return monitor.ObserveOutcomes(
            state.beginnings,
            state.labels_to + 1,
            observed.labels_to,
            len(rows[WRONG]),
            sum(each == 1.0 for each in rows[WRONG]),
            len(wrong),
            observed.unmatched,
            observed.content,
            observations.recorded_verdicts(self._errors.see(wrong)),
            self._judged(compared[0], rows, pairs) if compared else None,
            sum(wrong) if observed.wrong_of_version is not None else None,
        )

    def _judged(
        self, compared: monitor.Compared, rows: Columns, pairs: Mapping[Comparison, gate.Pairs]
    ) -> monitor.Compared:
        known = pairs.get(_key(compared), gate.Pairs()) + observations.pairs_in(rows)
        return structs.replace(compared, judgement=gate.judge(known, self._policy.odds(compared)))


async def _detectors(began: monitor.Began, get: Get, policy: Policy) -> _Detectors:
    reference = await read_reference(get, began.reference)
    return await asyncio.to_thread(_Detectors, began, reference, policy)


async def _rows(content: str | None, get: Get) -> Columns | None:
    if content is None:
        return None
    columns, _ = await asyncio.to_thread(from_parquet, await get(content))
    return columns


def _decided(command: monitor.Command, state: monitor.State) -> tuple[monitor.Event, ...]:
    decided = monitor.decide(command, state)
    if isinstance(decided, Refusal):
        raise UnfoundedVerdict(f"an observation could not have been recorded: {decided.reason}")
    return decided


def _comparisons(written: Sequence[monitor.Event]) -> list[monitor.Compared]:
    return [event.compared for event in written if isinstance(event, monitor.ComparisonJudged)]


def _key(compared: monitor.Compared) -> Comparison:
    return compared.experiment_id, compared.kind


async def _written_together(events: AsyncIterable[monitor.Event]) -> AsyncGenerator[tuple[monitor.Event, ...]]:
    """An observation with its verdicts; everything else alone."""
    together: list[monitor.Event] = []
    async for event in events:
        if together and not isinstance(event, monitor.Judged | monitor.ComparisonJudged):
            yield tuple(together)
            together = []
        together.append(event)
    if together:
        yield tuple(together)


async def _each(events: Iterable[monitor.Event]) -> AsyncGenerator[monitor.Event]:
    for event in events:
        yield event
