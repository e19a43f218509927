"""One command to one resource, and lists of resources: what the commands about records have in common."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from eventstore.envelope import new_id
from sagacity.cli import UserError
from sagacity.cli.command import json_of, print_outcome, refusal_of, send
from sagacity.cli.connecting import Api, ApiPlace, open_api


def change(target: ApiPlace, type: str, id: str | None, data: Any, as_json: bool) -> int:
    """Print what came of it; the exit status."""
    answer = send(target, type, command_body(type, id, data), wait=True)
    print_outcome(answer, as_json)
    return 1 if refusal_of(answer) else 0


def command_body(type: str, id: str | None, data: Any) -> dict[str, Any]:
    stream = {} if id is None else {"stream": {"category": type.partition(".")[0], "id": id}}
    return {"id": new_id(), "type": type, "data": data, **stream}


def document_of(file: Path) -> msgspec.Raw:
    """What a file holds, as JSON; YAML if its name says so. Raises UserError."""
    if file.suffix.lower() not in (".yaml", ".yml"):
        return json_of(f"@{file}", str(file))
    import yaml

    try:
        document: Any = yaml.safe_load(file.read_bytes())
        return msgspec.Raw(msgspec.json.encode(document))
    except OSError as error:
        raise UserError(f"{file}: {file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: is no YAML: {error}") from error


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
