"""The inputs of a version in use: every prediction by it goes through the detectors, once and in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from domain import monitor
from domain.detectors import InputDetectors, Reference
from domain.pipeline import Feature
from eventstore.blobs import OBSERVED, BlobMissing
from models.data.tables import to_parquet
from models.observe import observations
from models.observe.grouping import grouped
from models.observe.observing import Sources
from models.observe.recalling import Recalled, long_tables
from models.observe.referencing import begin_anew, read_reference
from models.serve.predictions import PredictionBatch

ROWS: Final = 500
"""At least so many are observed together, where so many come in time."""


async def watch_inputs(sources: Sources, model_id: str, features: Sequence[Feature], recalled: Recalled) -> None:
    """For ever, or until its detectors are to begin anew. Raises Overtaken, and what reading, storing and reporting
    raise: then it is to begin again."""
    state = recalled.state
    reference = await read_reference(sources.blobs.get, state.began.reference)
    try:
        detectors = await _detectors(sources, reference, recalled)
    except BlobMissing:
        await stand_by_for_inputs(sources, model_id)  # another observer may have seen these rows while they were there
        await begin_anew(sources, model_id, state.beginnings)
        return
    reading = sources.predictions.read(model_id, state.inputs_to)
    groups = grouped(reading, lambda each: len(each[1].rows), ROWS, lambda: sources.pace.patience(recalled.since))
    async with aclosing(groups):
        async for group in groups:
            first, last = group[0][0], group[-1][0]
            mine = [batch for _, batch in group if batch.version == state.began.version]
            command = await _observed(sources, detectors, state.beginnings, first, last, mine, features)
            await sources.observe(model_id, command, f"observe-{model_id}-{state.beginnings}-in-{first}-{last}")


async def _observed(
    sources: Sources,
    detectors: InputDetectors,
    beginning: int,
    first: int,
    last: int,
    batches: Sequence[PredictionBatch],
    features: Sequence[Feature],
) -> monitor.ObserveInputs:
    if not any(batch.rows for batch in batches):
        return monitor.ObserveInputs(beginning, first, last, 0, None)
    table = observations.of_inputs(batches, features)
    seen = asyncio.to_thread(detectors.see, table.columns, observations.predictions_in(table.columns))
    windows, verdicts = await seen
    content = await sources.blobs.put(await asyncio.to_thread(to_parquet, table.columns, table.kinds), OBSERVED)
    windows, verdicts = observations.recorded_windows(windows), observations.recorded_verdicts(verdicts)
    return monitor.ObserveInputs(beginning, first, last, table.rows, content, windows, verdicts)


async def _detectors(sources: Sources, reference: Reference, recalled: Recalled) -> InputDetectors:
    """As they were after the last recorded observation: how rows are cut into calls makes no difference."""
    began = recalled.state.began
    detectors = await asyncio.to_thread(InputDetectors, reference, began.thresholds, began.monitoring)
    async with aclosing(long_tables(sources.blobs, recalled.inputs)) as found:
        async for columns in found:
            await asyncio.to_thread(detectors.recall, columns, observations.predictions_in(columns))
    return detectors


async def stand_by_for_inputs(sources: Sources, model_id: str) -> None:
    """Until a prediction has waited for longer than another observer would let it."""
    while True:
        _, state = await sources.state(model_id)
        async with aclosing(sources.predictions.read(model_id, state.inputs_to)) as batches:
            position, _ = await anext(batches)
        await asyncio.sleep(sources.pace.standby * random.uniform(1, 1.5))
        _, state = await sources.state(model_id)
        if state.inputs_to < position:
            return
