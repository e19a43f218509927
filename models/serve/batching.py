"""Whoever asks while others are being served is served next, together with all who came in the meantime.

Nobody waits for company: what comes to an idle server departs at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from models.serve.errors import Overloaded

Q = TypeVar("Q")
A = TypeVar("A")

MAX_ROWS: Final = 1_024
"""Of one batch."""

_MAX_WAITING: Final = 100_000
"""Rows."""

_FLIGHTS: Final = 2
"""Batches under way at once: while one is being stored, the next is computed."""


@dataclass(slots=True, eq=False)
class _Asked(Generic[Q, A]):
    question: Q
    rows: int
    size: int
    answer: asyncio.Future[A]


class Batches(Generic[Q, A]):
    """`answer_all` gives each question of a batch its answer, or the error that is to be raised for it.

    A batch has at most MAX_ROWS rows and `max_size` bytes, or is a single question.
    """

    def __init__(self, answer_all: Callable[[Sequence[Q]], Awaitable[Sequence[A | Exception]]], max_size: int) -> None:
        self._answer_all = answer_all
        self._max_size = max_size
        self._waiting: deque[_Asked[Q, A]] = deque()
        self._waiting_rows = 0
        self._flights: set[asyncio.Task[None]] = set()
        self._departing = False

    async def ask(self, question: Q, rows: int, size: int) -> A:
        """Raises what this question met with, or Overloaded."""
        if self._waiting_rows + rows > _MAX_WAITING:
            raise Overloaded(f"{self._waiting_rows} rows are waiting already")
        loop = asyncio.get_running_loop()
        asked: _Asked[Q, A] = _Asked(question, rows, size, loop.create_future())
        self._waiting.append(asked)
        self._waiting_rows += rows
        if len(self._flights) < _FLIGHTS and not self._departing:
            # At the end of this turn of the loop: those who are ready now depart together.
            self._departing = True
            loop.call_soon(self._depart)
        return await asked.answer

    def _depart(self) -> None:
        self._departing = False
        while self._waiting and len(self._flights) < _FLIGHTS:
            aboard = self._board()
            if aboard:
                flight = asyncio.create_task(self._fly(aboard))
                self._flights.add(flight)
                flight.add_done_callback(self._landed)

    def _landed(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._depart()

    def _board(self) -> list[_Asked[Q, A]]:
        """The next ones that fit one batch, without those who have gone."""
        aboard: list[_Asked[Q, A]] = []
        rows = size = 0
        while self._waiting:
            asked = self._waiting[0]
            gone = asked.answer.done()
            rows, size = rows + (0 if gone else asked.rows), size + (0 if gone else asked.size)
            if aboard and (rows > MAX_ROWS or size > self._max_size):
                break
            self._waiting.popleft()
            self._waiting_rows -= asked.rows
            if not gone:
                aboard.append(asked)
        return aboard

    async def _fly(self, aboard: list[_Asked[Q, A]]) -> None:
        answers: Sequence[A | Exception]
        try:
            answers = await self._answer_all([asked.question for asked in aboard])
        except Exception as error:
            answers = [error] * len(aboard)
        except BaseException:
            for asked in aboard:
                asked.answer.cancel()
            raise
        for asked, answer in zip(aboard, answers, strict=True):
            if asked.answer.done():
                continue
            if isinstance(answer, Exception):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)
