"""One version of a model at work: questions that come together are predicted by one call, and recorded by one message
before they are answered.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from nats.errors import Error as NatsError

from domain.pipeline import Value
from eventstore.envelope import new_id, now
from eventstore.errors import EventStoreError, WriteTooLarge
from models.serve.batching import MAX_ROWS, Batches
from models.serve.errors import Unpredictable
from models.serve.predictions import PredictionBatch, Predictions
from models.serve.rows import Row, RowReader

if TYPE_CHECKING:
    from models.learn.fitted import Fitted

_IN_THE_LOOP: Final = 256
"""Rows that are measured, or predicted, without a thread."""

_SLOW: Final = 0.002
"""Seconds for one row, from which on a model is always asked in a thread: the loop has others to serve."""

_FRAME: Final = 1_024
"""Bytes of a message around its rows, at most."""

_encode = msgspec.json.Encoder().encode


class Question(NamedTuple):
    rows: list[Row]
    recorded: bool


class Answer(NamedTuple):
    """One label and confidence a row. What is not recorded has neither ids nor a position in the stream."""

    predictions: list[str]
    confidences: list[float]
    ids: list[str]
    position: int | None


Predicted = tuple[list[str], list[float]]


class ServedVersion:
    """Safe for any number of concurrent callers; one a process and version."""

    def __init__(self, model_id: str, version: str, fitted: Fitted, predictions: Predictions) -> None:
        """Tries the model out, for some milliseconds: not to be called in the loop."""
        self.model_id = model_id
        self.version = version
        self.rows = RowReader(fitted.features)
        self._fitted = fitted
        self._predictions = predictions
        self._in_a_thread = _seconds_for_one(fitted) > _SLOW
        self._a_row = 32 + max((len(_encode(name)) for name in fitted.classes), default=0)
        """Bytes of a row's label and confidence, at most."""
        self._largest = predictions.largest - _FRAME
        self._batches: Batches[Question, Answer] = Batches(self._answer_all, self._largest)

    async def predict(self, rows: list[Row], *, recorded: bool = True) -> Answer:
        """Raises Unpredictable, Overloaded, WriteTooLarge for a row that no message holds, LogUnavailable."""
        parts = self._parts(rows) if len(rows) <= _IN_THE_LOOP else await asyncio.to_thread(self._parts, rows)
        asked = [self._batches.ask(Question(part, recorded), len(part), size) for part, size in parts]
        return await asked[0] if len(asked) == 1 else _joined(await asyncio.gather(*asked))

    def _parts(self, rows: list[Row]) -> list[tuple[list[Row], int]]:
        """As many rows as fit one message, with their bytes."""
        if len(rows) <= MAX_ROWS:
            size = len(_encode(rows)) + len(rows) * self._a_row
            if size <= self._largest:
                return [(rows, size)]
        parts: list[tuple[list[Row], int]] = []
        part, filled = list[Row](), 0
        for row in rows:
            size = len(_encode(row)) + 1 + self._a_row
            if size > self._largest:
                raise WriteTooLarge(f"one row has {size} bytes; at most {self._largest} can be recorded")
            if part and (len(part) == MAX_ROWS or filled + size > self._largest):
                parts.append((part, filled))
                part, filled = [], 0
            part.append(row)
            filled += size
        return [*parts, (part, filled)]

    async def _answer_all(self, questions: Sequence[Question]) -> list[Answer | Exception]:
        groups = [question.rows for question in questions]
        if self._in_a_thread or sum(map(len, groups)) > _IN_THE_LOOP:
            predicted = await asyncio.to_thread(predict_together, self._fitted, groups)
        else:
            predicted = predict_together(self._fitted, groups)
        return await self._recorded(questions, predicted)

    async def _recorded(
        self, questions: Sequence[Question], predicted: Sequence[Predicted | Exception]
    ) -> list[Answer | Exception]:
        rows: list[list[Value]] = []
        labels: list[str] = []
        confidences: list[float] = []
        for question, each in zip(questions, predicted, strict=True):
            if question.recorded and not isinstance(each, Exception):
                rows += question.rows
                labels += each[0]
                confidences += each[1]
        id = new_id()
        batch = PredictionBatch(id, self.model_id, self.version, now(), rows, labels, confidences)
        stored = await self._stored(batch) if rows else None
        return _answers(questions, predicted, id, stored)

    async def _stored(self, batch: PredictionBatch) -> int | Exception:
        try:
            return await self._predictions.publish(batch)
        except (EventStoreError, NatsError, OSError) as error:
            return error


def predict_together(fitted: Fitted, groups: Sequence[list[Row]]) -> list[Predicted | Exception]:
    """One call for all; where that fails, one for each: whose rows are at fault fails alone."""
    try:
        labels, confidences = fitted.predict([row for rows in groups for row in rows])
        if not all(map(isfinite, confidences)):
            raise ValueError("the confidence is no number")
    except Exception as error:
        if len(groups) > 1:
            return [predict_together(fitted, [rows])[0] for rows in groups]
        return [Unpredictable(str(error)) if isinstance(error, ValueError) else error]
    found: list[Predicted | Exception] = []
    first = 0
    for rows in groups:
        last = first + len(rows)
        found.append((labels[first:last], confidences[first:last]))
        first = last
    return found


def is_chosen(request_id: str, share: float) -> bool:
    """Whether a request is one of the share that is recorded; the same for the same id, always."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8]) < share * 2**64


def _answers(
    questions: Sequence[Question],
    predicted: Sequence[Predicted | Exception],
    batch: str,
    stored: int | Exception | None,
) -> list[Answer | Exception]:
    answers: list[Answer | Exception] = []
    row = 0
    for question, each in zip(questions, predicted, strict=True):
        if isinstance(each, Exception):
            answers.append(each)
        elif not question.recorded:
            answers.append(Answer(*each, [], None))
        elif isinstance(stored, Exception):
            answers.append(stored)
        else:
            ids = [f"{batch}.{number}" for number in range(row, row + len(question.rows))]
            answers.append(Answer(*each, ids, stored))
            row += len(ids)
    return answers


def _joined(answers: Sequence[Answer]) -> Answer:
    """Of one request; its position is that of its last part."""
    positions = [answer.position for answer in answers if answer.position is not None]
    return Answer(
        [label for answer in answers for label in answer.predictions],
        [confidence for answer in answers for confidence in answer.confidences],
        [id for answer in answers for id in answer.ids],
        max(positions, default=None),
    )


def _seconds_for_one(fitted: Fitted) -> float:
    """The fastest of three."""
    row: Row = [None] * len(fitted.features)
    took: list[float] = []
    for _ in range(3):
        began = perf_counter()
        fitted.predict([row])
        took.append(perf_counter() - began)
    return min(took)
