"""`sagacity projections`: how far the read models are, and building one anew."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click

from sagacity.cli import UserError
from sagacity.cli.connecting import Api, ApiPlace, api_options, open_api, run
from sagacity.cli.output import json_option, print_json, print_table, progress
from sagacity.cli.status import print_projections


@click.group()
def projections() -> None:
    """Look after the read models."""


@projections.command("list")
@json_option
@api_options
def list_command(*, target: ApiPlace, as_json: bool) -> None:
    """Every read model with its position and lag.

    Example:

        sagacity projections list
    """
    found = run(_list(target))
    if as_json:
        print_json(found)
    else:
        print_projections(found)


@projections.command()
@click.argument("name")
@click.option("--wait", is_flag=True, help="Until the new tables have taken the place of the old ones.")
@json_option
@api_options
def rebuild(*, target: ApiPlace, name: str, wait: bool, as_json: bool) -> None:
    """Fill a read model anew from the log, beside its live tables, and switch.

    Example:

        sagacity projections rebuild deployments --wait
    """
    requested, finished = run(_rebuild(target, name, wait))
    if as_json:
        print_json({"requested": requested, "projection": finished})
    elif finished is None:
        click.echo(f"{name} is being rebuilt: `sagacity projections list` shows the progress")
    else:
        click.echo(f"{name} is rebuilt, up to position {finished['position']}")
        _print_report(finished.get("rebuild_report") or ())


def _print_report(report: Sequence[Mapping[str, Any]]) -> None:
    rows = [(r["table"], r["rows_before"], r["rows_after"], "same" if r["same"] else "changed") for r in report]
    print_table(("table", "rows before", "rows after", "content"), rows)


async def _list(target: ApiPlace) -> list[Mapping[str, Any]]:
    async with open_api(target) as api:
        return await api.get("/api/v1/projections")


async def _rebuild(target: ApiPlace, name: str, wait: bool) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    async with open_api(target) as api:
        known = [each["name"] for each in await api.get("/api/v1/projections")]
        if name not in known:
            raise UserError(f"there is no projection {name!r}; there are {', '.join(known)}")
        requested = await api.post(f"/api/v1/projections/{name}/rebuild")
        return requested, await _rebuilt(api, name, requested["events"][0]["position"]) if wait else None


async def _rebuilt(api: Api, name: str, requested_at: int) -> Mapping[str, Any]:
    with progress() as advance:
        while True:
            found = await api.get(f"/api/v1/projections/{name}")
            if found["built_at"] >= requested_at:
                return found
            if (found["rebuild_failed_at"] or 0) >= requested_at:
                raise UserError(
                    f"the rebuild of {name} failed; its live tables are untouched: {found['rebuild_failure']}"
                )
            if found["rebuild_position"] is not None:
                advance(f"rebuilding {name}", found["rebuild_position"], found["rebuild_head"] or 0)
            await asyncio.sleep(0.1)
