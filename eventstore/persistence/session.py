"""The NATS connection of a factory and the logs opened over it; lives on the event loop of `loop.py`."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final

from nats.errors import Error as NatsError

from eventstore.connection import Connection, connect_to
from eventstore.errors import LogUnavailable
from eventstore.persistence.log import RecorderLog
from eventstore.streams import LogLocation, create_log

_PATIENCE: Final = 2.0


class Session:
    """`timeout`: seconds until a connection or an insert is given up."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._connection: Connection | None = None
        self._logs: dict[LogLocation, RecorderLog] = {}
        self._opening = asyncio.Lock()

    async def log(self, location: LogLocation, application: str, *, create: bool, replicas: int) -> RecorderLog:
        """The log at a location, opened once. Raises LogMissing, LogMisconfigured, LogUnavailable."""
        async with self._opening:
            if location not in self._logs:
                connection = await self._connected()
                if create:
                    await create_log(connection, location, replicas=replicas)
                self._logs[location] = await RecorderLog.open(connection, location, application, timeout=self._timeout)
            return self._logs[location]

    async def close(self) -> None:
        """Wait for writes under way (2 s at most), end everything else, disconnect."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*(log.close() for log in self._logs.values()))
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
                self._connection = await asyncio.wait_for(connect_to(self._url, name="eventsourcing"), self._timeout)
            except (NatsError, OSError) as error:
                where = re.sub(r"//[^@/,]*@", "//", self._url)  # without credentials
                reason = str(error) or f"no answer within {self._timeout:g} s"
                raise LogUnavailable(f"no connection to NATS at {where}: {reason}") from error
        return self._connection
