"""Predictions as they were given, on a stream of their own beside the log, which is bounded in age and size.

One message holds what was predicted together, on the subject `pred.<model>.<batch>`. The oldest go first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any, Final

import msgspec

from domain.pipeline import Value
from eventstore.connection import Connection
from eventstore.errors import HistoryBroken, LogMissing, LogUnavailable, WriteTooLarge
from eventstore.feed import Feed
from eventstore.publisher import Message, Publisher
from eventstore.reader import Raw, Reader
from eventstore.streams import ALREADY_THERE, NO_STREAM, LogLocation, ask, error_code
from eventstore.subjects import is_valid_id

PREDICTIONS: Final = LogLocation("PREDICTIONS", "pred")
MAX_AGE: Final = 30 * 86_400.0
"""Seconds."""

MAX_BYTES: Final = 1024**3

_PATIENCE: Final = 5.0
"""Seconds to wait for the acknowledgement of a batch."""

_HEADROOM: Final = 1_024
"""Bytes of a message that the server counts and that are no payload."""


class PredictionBatch(msgspec.Struct, frozen=True):
    """What one version of a model predicted at once. `rows` are in the order of the model's features, None is missing.

    A prediction is called `<id>.<number of its row, from 0>`; confidences are between 0 and 1.
    """

    id: str
    model_id: str
    version: str
    time: datetime
    rows: list[list[Value]]
    predictions: list[str]
    confidences: list[float]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PredictionBatch).decode


async def create_predictions(
    connection: Connection, *, replicas: int = 1, max_age: float | None = None, max_bytes: int | None = None
) -> None:
    """Create the stream, or give the one that is there these limits (in seconds and bytes).

    A limit that is not given is MAX_AGE or MAX_BYTES for a new stream, and left as it is otherwise.
    Raises LogUnavailable.
    """
    limits: dict[str, Any] = {}
    if max_age is not None:
        limits["max_age"] = int(max_age * 1e9)
    if max_bytes is not None:
        limits["max_bytes"] = max_bytes
    created = await ask(connection, f"STREAM.CREATE.{PREDICTIONS.stream}", _configuration(replicas) | limits)
    if error_code(created) not in (0, ALREADY_THERE):
        raise LogUnavailable(f"{PREDICTIONS.stream}: {created['error']['description']}")
    if error_code(created) == ALREADY_THERE and limits:
        await _limit(connection, limits)


def _configuration(replicas: int) -> dict[str, Any]:
    return {
        "name": PREDICTIONS.stream,
        "subjects": [f"{PREDICTIONS.prefix}.>"],
        "num_replicas": replicas,
        "storage": "file",
        "max_age": int(MAX_AGE * 1e9),
        "max_bytes": MAX_BYTES,
        "discard": "old",
        "allow_direct": True,
        "compression": "s2",
    }


async def _limit(connection: Connection, limits: dict[str, Any]) -> None:
    found = (await _information(connection))["config"]
    if found | limits == found:
        return
    updated = await ask(connection, f"STREAM.UPDATE.{PREDICTIONS.stream}", found | limits)
    if error_code(updated):
        raise LogUnavailable(f"{PREDICTIONS.stream}: {updated['error']['description']}")


async def _information(connection: Connection) -> dict[str, Any]:
    answer = await ask(connection, f"STREAM.INFO.{PREDICTIONS.stream}")
    if error_code(answer) == NO_STREAM:
        raise LogMissing(f"there is no stream {PREDICTIONS.stream} on this server; `sagacity init` creates it")
    if error_code(answer):
        raise LogUnavailable(answer["error"]["description"])
    return answer


class Predictions:
    """Safe for any number of concurrent callers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._publisher = Publisher(connection)
        self._reader = Reader(connection, PREDICTIONS)
        self._opening = asyncio.Lock()
        self._opened = False

    async def close(self) -> None:
        if self._opened:
            self._opened = False
            await self._publisher.close()
            await self._reader.close()

    @property
    def largest(self) -> int:
        """Bytes that a batch may have."""
        return self._connection.max_payload - _HEADROOM

    async def publish(self, batch: PredictionBatch) -> int:
        """Its position, once it is durable. Raises WriteTooLarge, ValueError for an id that is none, or LogUnavailable:
        then it may be there or not."""
        message = Message(_subject(batch.model_id, batch.id), _encode(batch))
        if len(message.payload) > self.largest:
            raise WriteTooLarge(f"{len(message.payload)} bytes in one batch of predictions; at most {self.largest}")
        await self._open()
        ack = await self._publisher.publish([message], _PATIENCE)
        if ack is None:
            raise LogUnavailable(f"{PREDICTIONS.stream} does not acknowledge")
        if not ack.stored:
            raise LogUnavailable(f"{PREDICTIONS.stream}: {ack.text}")
        return ack.seq

    async def find(self, model_id: str, batch_id: str) -> PredictionBatch | None:
        """None for what was never recorded, or is not kept any more. Raises LogUnavailable."""
        if not (is_valid_id(model_id) and is_valid_id(batch_id)):
            return None
        subject = _subject(model_id, batch_id)
        await self._open()
        # A follower of a cluster may not know yet what was just acknowledged.
        found = (await self._reader.holders([subject])).get(subject) or await self._reader.holder(subject)
        return _batch(found) if found else None

    async def last(self) -> int:
        """The position of the newest batch; 0 when there never was one. Raises LogMissing, LogUnavailable."""
        return int((await _information(self._connection))["state"]["last_seq"])

    async def read(self, model_id: str, after: int) -> AsyncGenerator[tuple[int, PredictionBatch]]:
        """The model's batches above a position, in order, each with its own; waits for more for ever.

        Raises LogMissing, LogUnavailable when it cannot begin, HistoryBroken for what is no batch.
        """
        mine = [f"{PREDICTIONS.prefix}.{model_id}.>"]
        async with Feed(self._connection, PREDICTIONS, after=after, subjects=mine) as feed:
            async for found in feed.raw_batches():
                for position, raw in found:
                    yield position, _batch((position, raw))

    async def _open(self) -> None:
        if self._opened:
            return
        async with self._opening:
            if not self._opened:
                await self._publisher.open()
                await self._reader.open()
                self._opened = True


def _subject(model_id: str, batch_id: str) -> str:
    if not (is_valid_id(model_id) and is_valid_id(batch_id)):
        raise ValueError(f"{model_id!r}, {batch_id!r}: no ids of a model and a batch")
    return f"{PREDICTIONS.prefix}.{model_id}.{batch_id}"


def _batch(found: Raw) -> PredictionBatch:
    position, raw = found
    try:
        return _decode(raw)
    except msgspec.DecodeError as error:
        raise HistoryBroken(f"{PREDICTIONS.stream} holds no batch of predictions at {position}: {error}") from error
