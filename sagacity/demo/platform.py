"""The demo's view of the platform: over HTTP, like anybody's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx

ENDED = ("completed", "rolled_back", "failed")


class Platform:
    """Calls of the public API. Every method raises httpx.HTTPError when the platform does not answer as it should."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def command(self, type: str, stream: str, data: dict[str, Any]) -> dict[str, Any]:
        body = {"id": f"demo-{type.replace('.', '-')}-{stream}-{time.time_ns()}", "type": type, "data": data}
        category = type.partition(".")[0]
        answer = await self._patiently(
            "POST", "/api/v1/commands", json={**body, "stream": {"category": category, "id": stream}}
        )
        answer.raise_for_status()
        return answer.json()

    async def deployment(self, id: str, position: int | None = None) -> dict[str, Any]:
        params = {"min_position": position} if position else {}
        answer = await self._patiently("GET", f"/api/v1/deployments/{id}", params=params)
        answer.raise_for_status()
        return answer.json()

    async def history(self, category: str, id: str) -> list[dict[str, Any]]:
        answer = await self._patiently("GET", f"/api/v1/{category}s/{id}/events", params={"limit": 500})
        answer.raise_for_status()
        return answer.json()["items"]

    async def event(self, category: str, id: str, version: int) -> dict[str, Any]:
        params = {"after": version - 1, "limit": 1}
        answer = await self._patiently("GET", f"/api/v1/{category}s/{id}/events", params=params)
        answer.raise_for_status()
        return answer.json()["items"][0]

    async def timeline(self, id: str) -> list[dict[str, Any]]:
        """The deployment's events so far, told to people; empty before the read model knows it."""
        answer = await self._patiently("GET", f"/api/v1/deployments/{id}/timeline")
        return answer.json()["items"] if answer.status_code == 200 else []

    async def open_sagas(self) -> int:
        """Sagas that have not ended, or have an effect that nobody can vouch for."""
        answer = await self._patiently("GET", "/api/v1/sagas", params={"limit": 500})
        answer.raise_for_status()
        ended = ("completed", "compensated")
        return sum(row["status"] not in ended or row["open_effects"] > 0 for row in answer.json()["items"])

    async def ended(self, id: str, timeout: float = 300.0) -> dict[str, Any]:
        """The deployment once it has ended. Raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while True:
                try:
                    found = await self.deployment(id)
                    if found["status"] in ENDED:
                        return found
                except httpx.HTTPStatusError as error:
                    if error.response.status_code not in (404, 503, 504):
                        raise
                await asyncio.sleep(0.1)

    async def _patiently(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """The same request again while the platform restarts: every command carries its id, so this is harmless."""
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = await self._client.request(method, path, **arguments)
                if answer.status_code not in (502, 503) or time.monotonic() > deadline:
                    return answer
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.2)


@asynccontextmanager
async def platform_at(url: str) -> AsyncGenerator[Platform]:
    async with httpx.AsyncClient(base_url=url, timeout=40, headers={"X-Actor": "demo"}) as client:
        yield Platform(client)
