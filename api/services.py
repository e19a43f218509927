"""What the API works with, given to it when it is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg

from api.live import Live
from eventstore.blobs import Blobs
from eventstore.store import EventStore
from handlers.command_handler import CommandHandler
from models.serve.serving import Predictor
from projections.queries import ReadModels


class ReleaseLogs(Protocol):
    """The output of a deployment's release: lines above number `after`, oldest first, at most `limit`."""

    async def __call__(self, deployment: Any, after: int, limit: int) -> Sequence[Any]: ...


@dataclass(frozen=True)
class Services:
    store: EventStore
    handler: CommandHandler
    models: ReadModels
    pool: asyncpg.Pool[asyncpg.Record]
    live: Live
    logs: ReleaseLogs
    publish_inbound: Callable[[bytes], Awaitable[str]]
    """Stores one CloudEvents document for later handling; its subject. Raises InvalidCloudEvent, LogUnavailable."""
    blobs: Blobs
    predictor: Predictor
    running: Callable[[], Awaitable[Sequence[Any]]] | None = None
    """The releases that run on this machine; None where its releases are another's business."""
