"""Labels joined with the predictions that they are for: the first label of a prediction counts, later ones do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple

from domain.monitor import Label
from models.serve.predictions import PredictionBatch

REMEMBERED: Final = 100_000
"""Labelled rows by which a label is known to be a repeated one. Predictions are kept for a time only, so that a label
that comes again later than that finds nothing to be joined with."""

_AT_ONCE: Final = 32

Find = Callable[[str], Awaitable[PredictionBatch | None]]
"""A batch by its id."""


class Given(NamedTuple):
    """A label, and the position of its event in the log."""

    position: int
    label: Label


class Labelled(NamedTuple):
    """A prediction with its label: row `row` of the batch. `id` is the prediction's, as the answer to it said."""

    id: str
    batch: PredictionBatch
    row: int
    label: str
    position: int


class Joined(NamedTuple):
    """In the order of the labels. `unmatched` labels are for nothing on record, or were given before."""

    rows: list[Labelled]
    unmatched: int


class Remembered:
    """The ids of the latest labelled predictions, at most so many."""

    def __init__(self, ids: Iterable[str] = (), most: int = REMEMBERED) -> None:
        self._most = most
        self._ids: dict[str, None] = {}
        for id in ids:
            self.is_new(id)

    def is_new(self, id: str) -> bool:
        """Asked again, it is not."""
        if id in self._ids:
            return False
        self._ids[id] = None
        if len(self._ids) > self._most:
            del self._ids[next(iter(self._ids))]
        return True


async def join(given: Sequence[Given], find: Find, remembered: Remembered) -> Joined:
    """Raises what `find` raises; nothing has been remembered then."""
    places = [_place(each.label.prediction) for each in given]
    batches = await _found({batch for batch, _ in places}, find)
    rows: list[Labelled] = []
    for (position, label), (batch_id, row) in zip(given, places, strict=True):
        batch = batches.get(batch_id)
        id = f"{batch_id}.{row}"
        if batch is not None and row < len(batch.rows) and remembered.is_new(id):
            rows.append(Labelled(id, batch, row, label.label, position))
    return Joined(rows, len(given) - len(rows))


def _place(prediction: str) -> tuple[str, int]:
    batch, _, row = prediction.rpartition(".")
    return batch, int(row)


async def _found(ids: set[str], find: Find) -> dict[str, PredictionBatch | None]:
    """Some at a time."""
    wanted, found = sorted(ids), dict[str, PredictionBatch | None]()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        found.update(zip(some, await asyncio.gather(*map(find, some)), strict=True))
    return found
