"""The target port, spoken to a process host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from domain.measurement import Reading
from sagas.targets.port import (
    Allocation,
    Effect,
    Front,
    Health,
    LogLine,
    Release,
    Running,
    TargetUnavailable,
    TargetUnreachable,
    check_front,
    check_key,
    check_split,
)
from sagas.targets.problem import CONTENT_TYPE, Problem
from sagas.targets.process.ledger import Allocate, Operation, Retire, Start, Switch, Undo
from sagas.targets.process.wire import error_of, socket_of

_TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0, connect=5.0)
"""Shorter than a step: a host that hangs is asked again, with the same key, before the step is given up."""


class ProcessTarget:
    """Implements `sagas.targets.port.Target`.

    `place` is the control socket of a host or its data directory. Nothing is kept between calls, so there is
    nothing to close, and a host that was restarted in the meantime is found again.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    async def validate(self, release: Release) -> None:
        await self._call("POST", "/validate", None, release)

    async def allocate(self, key: str) -> Allocation:
        port = (await self._do(key, Allocate())).port
        assert port is not None
        return Allocation(port)

    async def free(self, key: str) -> None:
        await self._undo(key, "free")

    async def start(self, key: str, allocation_key: str, release: Release) -> str:
        check_key(allocation_key)
        return (await self._do(key, Start(allocation_key, release))).url or ""

    async def stop(self, key: str) -> None:
        await self._undo(key, "stop")

    async def health(self, start_key: str) -> Health:
        check_key(start_key)
        return await self._call("GET", f"/releases/{start_key}/health", Health)

    async def switch(
        self,
        key: str,
        front: str,
        weights: Mapping[str, int],
        sticky_header: str | None = None,
        incident_header: str | None = None,
    ) -> str:
        check_front(front)
        check_key(*weights)
        check_split(weights, sticky_header, incident_header)
        return (await self._do(key, Switch(front, dict(weights), sticky_header, incident_header))).url or ""

    async def switch_back(self, key: str) -> None:
        await self._undo(key, "switch_back")

    async def retire(self, key: str, start_key: str) -> None:
        check_key(start_key)
        await self._do(key, Retire(start_key))

    async def unretire(self, key: str) -> None:
        await self._undo(key, "unretire")

    async def effect(self, key: str) -> Effect:
        check_key(key)
        return await self._call("GET", f"/effects/{key}", Effect)

    async def front(self, front: str) -> Front | None:
        check_front(front)
        return await self._call("GET", f"/fronts/{front}", Front | None)

    async def measure(self, front: str) -> Reading:
        check_front(front)
        return await self._call("GET", f"/fronts/{front}/reading", Reading)

    async def inventory(self) -> tuple[Running, ...]:
        return await self._call("GET", "/releases", tuple[Running, ...])

    async def logs(self, start_key: str, after: int = 0, limit: int = 1000) -> tuple[LogLine, ...]:
        check_key(start_key)
        return await self._call("GET", f"/releases/{start_key}/logs?after={after}&limit={limit}", tuple[LogLine, ...])

    async def _do(self, key: str, operation: Operation) -> Effect:
        check_key(key)
        return await self._call("PUT", f"/effects/{key}", Effect, operation)

    async def _undo(self, key: str, undo: Undo) -> None:
        check_key(key)
        await self._call("DELETE", f"/effects/{key}?undo={undo}", None)

    async def _call(self, method: str, path: str, type: Any, body: msgspec.Struct | None = None) -> Any:
        """Raises the errors of the target port."""
        data = None if body is None else msgspec.json.encode(body)
        try:
            connector = aiohttp.UnixConnector(str(socket_of(self._place)))
            async with (
                aiohttp.ClientSession("http://host", connector=connector, timeout=_TIMEOUT) as session,
                session.request(method, path, data=data) as answer,
            ):
                content = await answer.read()
        except aiohttp.ConnectionTimeoutError as error:
            raise TargetUnreachable(f"the process host takes no connections: {type_name(error)}") from error
        except TimeoutError as error:
            raise TargetUnavailable(f"the process host gave no answer within {_TIMEOUT.total:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TargetUnreachable(f"the process host gave no answer: {type_name(error)}") from error
        if answer.status >= 400:
            raise _error(answer, content)
        return msgspec.json.decode(content, type=type) if content else None


def type_name(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _error(answer: aiohttp.ClientResponse, content: bytes) -> Exception:
    if answer.content_type == CONTENT_TYPE:
        problem = msgspec.json.decode(content, type=Problem)
        return error_of(problem.type, problem.detail, problem.faults)
    return TargetUnavailable(f"the process host answered {answer.status}")
