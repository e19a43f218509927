"""One command to one resource, and lists of resources: what the commands about records have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from eventstore.envelope import new_id
from sagacity.cli import UserError
from sagacity.cli.command import print_outcome, refusal_of, send
from sagacity.cli.connecting import Api, ApiPlace, open_api


def change(target: ApiPlace, type: str, id: str | None, data: Any, as_json: bool) -> int:
    """Print what came of it; the exit status."""
    answer = send(target, type, command_body(type, id, data), wait=True)
    print_outcome(answer, as_json)
    return 1 if refusal_of(answer) else 0


def command_body(type: str, id: str | None, data: Any) -> dict[str, Any]:
    stream = {} if id is None else {"stream": {"category": type.partition(".")[0], "id": id}}
    return {"id": new_id(), "type": type, "data": data, **stream}


def only_one(names: Sequence[str], none: str, several: str) -> str:
    """Meant by whoever leaves the name out. Raises UserError: `none`, or `several` with all of them."""
    match names:
        case [only]:
            return only
        case []:
            raise UserError(none)
        case _:
            raise UserError(f"{several}: {', '.join(names)}")


async def get(target: ApiPlace, path: str, **query: Any) -> Mapping[str, Any]:
    async with open_api(target) as api:
        return await api.get(path, **query)


async def items(target: ApiPlace, path: str, **query: Any) -> list[Mapping[str, Any]]:
    async with open_api(target) as api:
        return (await api.get(path, **query))["items"]


async def all_items(api: Api, path: str, **query: Any) -> AsyncGenerator[Mapping[str, Any]]:
    """Of all pages."""
    page = await api.get(path, **query)
    while True:
        for item in page["items"]:
            yield item
        if "next" not in page["_links"]:
            return
        page = await api.get(page["_links"]["next"])
