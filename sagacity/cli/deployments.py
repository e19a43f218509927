"""`sagacity deployments`: what is deployed where, and following one to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

import click
import httpx
import msgspec

from sagacity.cli.connecting import Api, ApiPlace, Problem, api_options, open_api, problem_of, run, unreachable
from sagacity.cli.output import console, json_option, print_json, print_table

_ENDED: Final = ("completed", "rolled_back", "failed")
_LOOK: Final = 0.3
"""Seconds between two looks at a deployment that goes on."""


class _Entry(msgspec.Struct):
    version: int
    time: datetime
    type: str
    summary: str
    actor: str


@click.group()
def deployments() -> None:
    """See what is deployed where."""


@deployments.command("list")
@click.option("--status", metavar="STATUS", help="Only those that are this (running, completed, rolled_back …).")
@click.option("--environment", metavar="ID", help="Only those in this environment.")
@click.option("--stack", metavar="ID", help="Only those of this stack.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@json_option
@api_options
def list_command(
    *, target: ApiPlace, status: str | None, environment: str | None, stack: str | None, limit: int, as_json: bool
) -> None:
    """The deployments that changed last.

    Example:

        sagacity deployments list --environment production
    """
    found = run(_list(target, status=status, environment_id=environment, stack_id=stack, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("id", "status", "stack_id", "version", "environment_id", "requested_at", "reason")
    print_table(columns, [[row.get(column) or "" for column in columns] for row in found])


@deployments.command()
@click.argument("id")
@json_option
@api_options
@click.pass_context
def follow(context: click.Context, *, target: ApiPlace, id: str, as_json: bool) -> None:
    """Tell what happens in a deployment until it has ended.

    Exits 0 when it is completed, 1 when it was rolled back or failed, 2 when there is none. Example:

        sagacity deployments follow release-42
    """
    status = run(_follow(target, id, as_json))
    context.exit(0 if status == "completed" else 1)


@deployments.command()
@click.argument("id")
@click.option("--follow", "stay", is_flag=True, help="Go on with what the release writes from now on.")
@json_option
@api_options
def logs(*, target: ApiPlace, id: str, stay: bool, as_json: bool) -> None:
    """What the release of a deployment wrote.

    Example:

        sagacity deployments logs release-42 --follow
    """
    run(_logs(target, id, stay, as_json))


async def _list(target: ApiPlace, **query: Any) -> list[Mapping[str, Any]]:
    async with open_api(target) as api:
        return (await api.get("/api/v1/deployments", **query))["items"]


async def _follow(target: ApiPlace, id: str, as_json: bool) -> str:
    out, seen = console(), 0
    async with open_api(target) as api:
        while True:
            try:
                status: str = (await api.get(f"/api/v1/deployments/{id}"))["status"]
                timeline = await api.get(f"/api/v1/deployments/{id}/timeline")
            except Problem as problem:
                if problem.status != 503 or not seen:
                    raise
                await asyncio.sleep(_LOOK)
                continue
            new = [entry for entry in msgspec.convert(timeline["items"], list[_Entry]) if entry.version > seen]
            for entry in new:
                if as_json:
                    click.echo(msgspec.json.encode(entry))
                else:
                    out.print(f"{entry.time:%Y-%m-%d %H:%M:%S}  {entry.summary}", markup=False)
                seen = entry.version
            if status in _ENDED and not new:
                return status
            await asyncio.sleep(_LOOK)


async def _logs(target: ApiPlace, id: str, stay: bool, as_json: bool) -> None:
    async with open_api(target) as api, aclosing(_followed(api, id) if stay else _so_far(api, id)) as lines:
        async for line in lines:
            if as_json:
                click.echo(msgspec.json.encode(line))
            else:
                click.echo(line["text"], err=line["stream"] == "stderr")


async def _so_far(api: Api, id: str) -> AsyncGenerator[Mapping[str, Any]]:
    where: str | None = f"/api/v1/deployments/{id}/logs"
    while where:
        page = await api.get(where)
        for line in page["items"]:
            yield line
        where = page["_links"].get("next") if page["items"] else None


async def _followed(api: Api, id: str) -> AsyncGenerator[Mapping[str, Any]]:
    query = {"follow": "true"}
    try:
        async with api.client.stream("GET", f"/api/v1/deployments/{id}/logs", params=query, timeout=60) as answer:
            if answer.status_code >= 400:
                await answer.aread()
                raise problem_of(api.url, answer)
            async for text in answer.aiter_lines():
                if text:
                    yield msgspec.json.decode(text)
    except httpx.HTTPError as error:
        raise unreachable(api.url, error) from error
