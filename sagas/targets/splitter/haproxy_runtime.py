"""HAProxy's runtime API: lines of text over a Unix socket (management guide, 9.3)."""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

_WITHIN: Final = 5.0
_DONE: Final = re.compile(r"(no need to change|IP changed|port changed)\b")
_VERSION: Final = re.compile(r"New version created: (\d+)")
_BACKEND: Final = 2
_SERVER: Final = 4
_ALL: Final = -1


class Runtime:
    """All methods raise OSError when HAProxy is away, does not answer within 5 s or refuses."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def change(self, commands: Sequence[str]) -> None:
        """In this order; other requests may come between."""
        if not commands:
            return
        for line in (await self._ask(commands)).splitlines():
            if line and not _DONE.match(line):
                raise OSError(f"HAProxy refuses a change: {line}")

    async def replace(self, maps: Mapping[str, Iterable[str]]) -> None:
        """Entries (`key value`) by map. Each map is replaced between two requests, the first one last."""
        versions = [
            int(number) for number in _VERSION.findall(await self._ask([f"prepare map {name}" for name in maps]))
        ]
        if len(versions) != len(maps):
            raise OSError("HAProxy does not prepare maps")
        prepared = {name: f"@{version} {name}" for name, version in zip(maps, versions, strict=True)}
        additions = [
            f"add map {prepared[name]} {entry.replace(chr(92), chr(92) * 2)}"
            for name, entries in maps.items()
            for entry in entries
        ]
        await self.change([*additions, *(f"commit map {where}" for where in reversed(prepared.values()))])

    async def answered(self) -> int:
        """Requests with a route that have been answered, also by HAProxy itself."""
        [backend] = await self._stat(_BACKEND, _ALL)
        return sum(int(count or 0) for name, count in backend.items() if name.startswith("hrsp_"))

    async def in_flight(self, slot: int) -> int:
        [server] = await self._stat(_SERVER, slot)
        return int(server["scur"])

    async def idle(self) -> set[int]:
        """Slots with nothing in flight."""
        return {int(server["sid"]) for server in await self._stat(_SERVER, _ALL) if server["scur"] == "0"}

    async def _stat(self, kind: int, number: int) -> list[dict[str, str]]:
        text = await self._ask([f"show stat front {kind} {number}"])
        rows = list(csv.DictReader(text.removeprefix("# ").strip().splitlines()))
        if not rows:
            raise OSError("HAProxy tells nothing of what is asked for")
        return rows

    async def _ask(self, commands: Sequence[str]) -> str:
        async with asyncio.timeout(_WITHIN):
            reader, writer = await asyncio.open_unix_connection(self._socket)
            try:
                writer.write("; ".join(commands).encode() + b"\n")
                return (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
