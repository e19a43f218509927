"""What a published definition names that nobody could be asked for yet: it may come later, and may be misspelt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from api.links import path_of
from sagacity.cli.connecting import Api, ApiPlace, Problem, open_api


async def missing_names(target: ApiPlace, published: Mapping[str, Any]) -> list[str]:
    """One line each. `published` is the outcome of the command."""
    async with open_api(target) as api:
        definition = await api.get(published["_links"]["resource"], min_position=published["position"], wait=30)
        named = [("skill", name) for name in definition["skills"]]
        named += [("workflow_definition", name) for name in definition["workflows"]]
        told = await asyncio.gather(*(_missing(api, category, name, published["position"]) for category, name in named))
    return [line for line in told if line is not None]


async def _missing(api: Api, category: str, name: str, position: int) -> str | None:
    kind = category.partition("_")[0]
    try:
        found = await api.get(path_of(category, name), min_position=position, wait=30)
    except Problem as problem:
        if problem.status == 404:
            return f"not registered yet: the {kind} {name}"
        raise
    gone = found["status"] in ("retired", "withdrawn")
    return f"{found['status']}: the {kind} {name}" if gone else None
