"""What the MCP server needs of the platform, through its HTTP API: over the network, or within the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import httpx

from eventstore.envelope import new_id

_PREFIX: Final = "/api/v1"
_FIRST, _LONGEST = 0.05, 1.0
"""Seconds between two looks at a run."""
_PAGE: Final = 200
LARGEST_OUTPUT: Final = 4 * 1024 * 1024
"""Bytes: clients have bounds on what they take in one message, of 10 MB and less."""
ENDED: Final = ("completed", "failed", "cancelled")


class Refused(Exception):
    """The platform does not do it; the reason is for people."""


class TooLarge(Exception):
    """`size` in bytes is more than a client should be sent unasked."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the output has {size} bytes")
        self.size = size


class Platform:
    """`client` has the base URL of the API and whatever identifies its caller."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def rows(self, read_model: str, **query: object) -> list[dict[str, Any]]:
        """All rows that the query finds."""
        return [row async for row in self._pages(read_model, query)]

    async def get(self, path: str, **query: object) -> Any:
        """The answer's JSON. Raises Refused."""
        try:
            answer = await self._client.get(f"{_PREFIX}{path}", params=_given(query))
        except httpx.HTTPError as error:
            raise Refused(f"the platform cannot be reached: {error}") from error
        return _body(answer)

    async def begin(self, command: str, data: dict[str, Any]) -> str:
        """Give the command to a new run; its id. Raises Refused."""
        run = new_id()
        request = {"id": new_id(), "type": command, "stream": {"category": "workflow", "id": run}, "data": data}
        try:
            _body(await self._client.post(f"{_PREFIX}/commands", json=request))
        except httpx.HTTPError as error:
            raise Refused(f"the platform cannot be reached: {error}") from error
        return run

    async def ended(self, run: str, seen: Callable[[dict[str, Any]], Awaitable[None]]) -> dict[str, Any]:
        """The run when it is over. `seen` is told of each look at it before. Raises Refused."""
        pause = _FIRST
        while True:
            found = await self._look(run)
            if found is not None:
                if found["status"] in ENDED:
                    return found
                await seen(found)
            await asyncio.sleep(pause)
            pause = min(_LONGEST, pause * 1.5)

    async def output(self, run: dict[str, Any]) -> Any:
        """What a run that is completed gave. Raises TooLarge, Refused."""
        last = await self.get(f"/workflows/{run['id']}/events", after=run["version"] - 1, limit=1)
        output = last["items"][0]["data"]["output"]
        if not output.get("hash"):
            return output.get("inline")
        if output["size"] > LARGEST_OUTPUT:
            raise TooLarge(output["size"])
        return await self.get(f"/workflows/{run['id']}/output")

    async def _look(self, run: str) -> dict[str, Any] | None:
        """None while the read model does not know it yet."""
        try:
            answer = await self._client.get(f"{_PREFIX}/workflows/{run}")
        except httpx.HTTPError as error:
            raise Refused(f"the platform cannot be reached: {error}") from error
        return None if answer.status_code == 404 else _body(answer)

    async def _pages(self, read_model: str, query: dict[str, object]) -> AsyncIterator[dict[str, Any]]:
        page = await self.get(f"/{read_model}", limit=_PAGE, **query)
        while True:
            for row in page["items"]:
                yield row
            following = page["_links"].get("next")
            if following is None:
                return
            page = await self.get(following.removeprefix(_PREFIX))


def _given(query: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}


def _body(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    try:
        problem = answer.json()
    except ValueError:
        raise Refused(f"the platform answered {answer.status_code}") from None
    faults = [f"{fault['where'] or '/'}: {fault['what']}" for fault in problem.get("faults", ())]
    said = [problem.get("detail") or problem.get("title") or f"status {answer.status_code}", *faults]
    raise Refused("; ".join(said))
