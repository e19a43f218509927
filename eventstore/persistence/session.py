"""The NATS connection of a factory and the logs opened over it; lives on the event loop of `loop.py`."""

from __future__ import annotations

import asyncio
import contextlib
import re

from nats.errors import Error as NatsError

from eventstore.connection import Connection, connect_to
from eventstore.errors import LogUnavailable
from eventstore.persistence.log import RecorderLog
from eventstore.streams import LogLocation, create_log


class Session:
    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._logs: dict[LogLocation, RecorderLog] = {}
        self._opening = asyncio.Lock()

    async def log(
        self, location: LogLocation, application: str, *, create: bool, replicas: int, timeout: float
    ) -> RecorderLog:
        """The log at a location, opened once. Raises LogMissing, LogMisconfigured, LogUnavailable."""
        async with self._opening:
            if location not in self._logs:
                connection = await self._connected()
                if create:
                    await create_log(connection, location, replicas=replicas)
                self._logs[location] = await RecorderLog.open(connection, location, application, timeout=timeout)
            return self._logs[location]

    async def close(self) -> None:
        """Wait for writes under way, end everything else, disconnect."""
        for log in self._logs.values():
            await log.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if self._connection is not None:
            with contextlib.suppress(NatsError, OSError):
                await self._connection.close()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self) -> Connection:
        if self._connection is None:
            try:
                self._connection = await connect_to(self._url, name="eventsourcing")
            except (NatsError, OSError) as error:
                where = re.sub(r"//[^@/,]*@", "//", self._url)  # without credentials
                raise LogUnavailable(f"no connection to NATS at {where}: {error}") from error
        return self._connection
