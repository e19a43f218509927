"""Which recorded observations of a model cannot be judged again, because their rows are kept no longer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from domain import monitor
from eventstore.blobs import BlobMissing
from models.observe.referencing import Get


class _Observed(NamedTuple):
    beginning: int
    what: str
    number: int
    version: str
    content: str | None


class KeptRows:
    """Hears the events of one model's monitor, and is asked for what they name."""

    def __init__(self, get: Get) -> None:
        self._get = get
        self._beginning = 0
        self._observed: list[_Observed] = []
        self._missing: set[str] = set()

    def hear(self, event: monitor.Event) -> None:
        match event:
            case monitor.Began():
                self._beginning += 1
            case monitor.InputsObserved(number, version, content=content):
                self._observed.append(_Observed(self._beginning, "inputs", number, version, content))
            case monitor.OutcomesObserved(number, version, content=content):
                self._observed.append(_Observed(self._beginning, "outcomes", number, version, content))
            case monitor.LabelsRecorded() | monitor.Judged() | monitor.ComparisonJudged():
                pass

    async def get(self, hash: str) -> bytes:
        """Raises BlobMissing, LogUnavailable."""
        try:
            return await self._get(hash)
        except BlobMissing:
            self._missing.add(hash)
            raise

    def passed_over(self) -> Iterator[str]:
        """In words: from the first one without rows to the next beginning."""
        observed = sorted(self._observed, key=lambda each: (each.beginning, each.what))
        for _, some in groupby(observed, key=lambda each: (each.beginning, each.what)):
            group = list(some)
            first = next((each for each in group if each.content in self._missing), None)
            if first is not None:
                numbers = f"{first.number} to {group[-1].number}"
                yield (
                    f"observations {numbers} of the {first.what} of version {first.version} are not judged: "
                    f"rows of number {first.number} are kept no longer"
                )
