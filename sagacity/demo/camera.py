"""A camera that asks a model about one region after the other, and whose owner says a little later what was right."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx

from sagacity.demo.segments import Region


class Answered(NamedTuple):
    """A prediction that has no label yet."""

    id: str
    material: str


class Camera:
    """`at_once` regions are asked about at the same time, each in a request of its own; labels come `late` predictions
    behind. Having seen all regions, it begins with the first one again."""

    def __init__(
        self, client: httpx.AsyncClient, model: str, regions: Sequence[Region], *, at_once: int = 8, late: int = 16
    ) -> None:
        self.asked = 0
        self.lost: list[str] = []
        """What went wrong, one entry a request."""
        self.answered: Counter[str] = Counter()
        """By version."""
        self.wrong: Counter[str] = Counter()
        self.rate = 100.0
        """Regions a second."""
        self.lens: Callable[[Region], Region] = lambda region: region
        """What becomes of a region on its way to the model."""
        self._client = client
        self._model = model
        self._regions = regions
        self._endless = itertools.cycle(regions)
        self._at_once = at_once
        self._late = late
        self._unlabelled: deque[Answered] = deque()

    @property
    def rounds(self) -> float:
        """How often it has seen all regions."""
        return self.asked / len(self._regions)

    async def film(self, number: int) -> None:
        """So many regions, and all of their labels."""
        due, last = time.monotonic(), self.asked + number
        while self.asked < last:
            due = await self._ask_some(min(self._at_once, last - self.asked), due)
        await self._label(0)

    @asynccontextmanager
    async def filming(self) -> AsyncGenerator[None]:
        """Meanwhile; afterwards there are no more predictions, and all have their labels."""
        stop = asyncio.Event()
        task = asyncio.create_task(self._film_until(stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def _film_until(self, stop: asyncio.Event) -> None:
        due = time.monotonic()
        while not stop.is_set():
            due = await self._ask_some(self._at_once, due)
        await self._label(0)

    async def _ask_some(self, number: int, due: float) -> float:
        """At the moment `due` by the monotonic clock; the moment of the next ones."""
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        self.asked += number
        found = await asyncio.gather(*(self._ask(self.lens(next(self._endless))) for _ in range(number)))
        self._unlabelled += [answer for answer in found if answer is not None]
        await self._label(self._late)
        return max(due + number / self.rate, time.monotonic() - 1)

    async def _ask(self, region: Region) -> Answered | None:
        try:
            answer = await self._client.post(
                "/api/v1/predict", json={"model": self._model, "features": region.features}
            )
            answer.raise_for_status()
            told = answer.json()
            version: str = told["version"]
            self.answered[version] += 1
            self.wrong[version] += told["prediction"] != region.material
            return Answered(told["id"], region.material)
        except (httpx.HTTPError, ValueError, KeyError) as error:
            self.lost.append(f"{type(error).__name__}: {error}")
            return None

    async def _label(self, later: int) -> None:
        """All but the latest `later` ones. Raises httpx.HTTPError."""
        number = len(self._unlabelled) - later
        if number <= 0:
            return
        labels = [
            {"prediction": each.id, "label": each.material} for each in itertools.islice(self._unlabelled, number)
        ]
        answer = await self._client.post(f"/api/v1/models/{self._model}/labels", json={"labels": labels})
        answer.raise_for_status()
        for _ in range(number):
            self._unlabelled.popleft()
