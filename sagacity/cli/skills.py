"""`sagacity skills`: what can be asked for, in which versions, and who offers it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from api.links import path_of
from sagacity.cli import UserError
from sagacity.cli.changing import all_items, change, get, items
from sagacity.cli.connecting import ApiPlace, api_options, open_api, run
from sagacity.cli.documents import document_of
from sagacity.cli.output import cell, json_option, percent, print_json, print_table
from sagacity.cli.sources import limit_option

_OF_WORKERS: Final = ("version", "worker", "alive", "seconds", "running", "done", "failed", "started")
_AT_ONCE: Final = 16


@click.group()
def skills() -> None:
    """See, register, route and retire skills."""


@skills.command("list")
@click.option("--capability", metavar="WORD", help="Only those that can do this, such as code.")
@click.option("--text", metavar="WORDS", help="Only those with these words in name, description or capabilities.")
@click.option("--status", type=click.Choice(["offered", "retired"]), help="Only those that are offered, or retired.")
@limit_option
@json_option
@api_options
def list_command(
    *, target: ApiPlace, capability: str | None, text: str | None, status: str | None, limit: int, as_json: bool
) -> None:
    """The skills that changed last.

    Example:

        sagacity skills list --capability code
    """
    query = {"capability": capability, "text": text, "status": status, "limit": limit}
    found = run(items(target, "/api/v1/skills", **query))
    if as_json:
        return print_json(found)
    rows = [(row["id"], row["status"], _shares(row), ", ".join(row["capabilities"]), _first(row)) for row in found]
    print_table(("id", "status", "versions", "capabilities", "description"), rows)


@skills.command()
@click.argument("id")
@json_option
@api_options
def show(*, target: ApiPlace, id: str, as_json: bool) -> None:
    """One skill: its versions, its workers, and what execution has taught of it.

    Example:

        sagacity skills show code_review
    """
    found, workers, figures = run(_show(target, id))
    if as_json:
        return print_json({**found, "workers": workers, "figures": figures})
    total = figures["total"]
    rate = "never asked" if total["success_rate"] is None else f"{percent(total['success_rate'])} succeeded"
    click.echo(f"{found['id']}: {found['status']}, {workers['alive']} workers, {total['calls']} calls, {rate}")
    click.echo(" ".join(found["description"].split()))
    rows = [
        (
            name,
            percent(each["share"]),
            "retired" if each["retired"] else f"open until {each['open_until']}" if each["open_until"] else "offered",
            f"{each['specification'].get('timeout', 60.0):g} s",
            cell(each["specification"].get("fallback")),
        )
        for name, each in found["versions"].items()
    ]
    print_table(("version", "share", "status", "timeout", "fallback"), rows)


@skills.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--id", metavar="NAME", help="What the skill is called; else as the file is.")
@click.option("--reinstate", is_flag=True, help="Offer it again if it was retired.")
@json_option
@api_options
@click.pass_context
def register(
    context: click.Context, *, target: ApiPlace, file: Path, id: str | None, reinstate: bool, as_json: bool
) -> None:
    """Register the version of a skill that the JSON (or YAML) in FILE describes.

    A version that comes after the first one gets no calls before it is given a share. Exits 0 when it is registered, 1
    when it was refused, 2 with every fault when it is no skill. Example:

    \b
        echo '{"version": "1", "capabilities": ["text"]}' > summary.json
        sagacity skills register summary.json
    """
    data = {"specification": document_of(file), **({"reinstate": True} if reinstate else {})}
    context.exit(change(target, "skill.register", id or file.stem, data, as_json))


@skills.command()
@click.argument("id")
@click.argument("version")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is on the record.")
@json_option
@api_options
@click.pass_context
def retire(context: click.Context, *, target: ApiPlace, id: str, version: str, reason: str, as_json: bool) -> None:
    """Ask a version for nothing more; the others get its share.

    Example:

        sagacity skills retire code_review 1 --reason "2 is better"
    """
    context.exit(change(target, "skill.retire", id, {"version": version, "reason": reason}, as_json))


@skills.command()
@click.argument("id")
@click.argument("shares", nargs=-1, required=True, metavar="VERSION=WEIGHT...")
@json_option
@api_options
@click.pass_context
def route(context: click.Context, *, target: ApiPlace, id: str, shares: tuple[str, ...], as_json: bool) -> None:
    """Divide the calls among versions by weights; a version that is not named gets none.

    Example:

        sagacity skills route code_review 1=9 2=1
    """
    context.exit(change(target, "skill.route", id, {"shares": _weights(shares)}, as_json))


@skills.command()
@click.argument("id", required=False)
@json_option
@api_options
def workers(*, target: ApiPlace, id: str | None, as_json: bool) -> None:
    """Who offers a skill now, by their heartbeats; without ID, who offers any of them.

    Example:

        sagacity skills workers code_review
    """
    if id is None:
        rows = run(_all_workers(target))
        if as_json:
            return print_json(rows)
        return print_table(
            ("skill", *_OF_WORKERS), [[cell(row[name]) for name in ("skill", *_OF_WORKERS)] for row in rows]
        )
    found = run(get(target, f"{path_of('skill', id)}/workers"))
    if as_json:
        return print_json(found)
    print_table(_OF_WORKERS, [[cell(row[name]) for name in _OF_WORKERS] for row in found["items"]])


@skills.command()
@click.argument("id")
@click.option("--version", metavar="VERSION", help="Only of this version.")
@click.option("--step", metavar="NAME", help="Only as this step.")
@click.option("--from", "since", metavar="TIME", help="Asked for at this time or later, such as 2026-11-21T00:00:00Z.")
@click.option("--to", "until", metavar="TIME", help="Asked for before this time.")
@json_option
@api_options
def figures(
    *,
    target: ApiPlace,
    id: str,
    version: str | None,
    step: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
) -> None:
    """What execution has taught: how often it worked, how long it took and what it cost.

    Example:

        sagacity skills figures code_review --version 2
    """
    query = {"version": version, "step": step, "from": since, "to": until}
    found = run(get(target, f"{path_of('skill', id)}/figures", **query))
    if as_json:
        return print_json(found)
    columns = ("day", "version", "definition", "step", "calls", "succeeded", "failed", "retried", "p50", "p95", "cost")
    rows = [found["total"], *found["items"]]
    print_table(columns, [["all" if _is_all(row, name) else cell(row[name]) for name in columns] for row in rows])


def _is_all(row: Mapping[str, Any], column: str) -> bool:
    return row["day"] is None and column == "day"


def _weights(shares: tuple[str, ...]) -> dict[str, int]:
    """Raises UserError with every fault."""
    weights: dict[str, int] = {}
    faults: list[str] = []
    for each in shares:
        version, sign, weight = each.partition("=")
        if not sign or not version or not (weight.isascii() and weight.isdigit()) or len(weight) > 9:
            faults.append(f"{each!r} is no VERSION=WEIGHT such as 2=1")
        elif version in weights:
            faults.append(f"{version} is given twice")
        else:
            weights[version] = int(weight)
    if faults:
        raise UserError("; ".join(faults))
    return weights


def _shares(row: Mapping[str, Any]) -> str:
    asked = {name: each for name, each in row["versions"].items() if not each["retired"]}
    return ", ".join(f"{name} ({percent(each['share'])})" if len(asked) > 1 else name for name, each in asked.items())


def _first(row: Mapping[str, Any]) -> str:
    """The beginning of its description."""
    text = " ".join(row["description"].split())
    return text if len(text) <= 80 else f"{text[:79]}…"


async def _show(target: ApiPlace, id: str) -> tuple[Any, Any, Any]:
    path = path_of("skill", id)
    async with open_api(target) as api:
        return await api.get(path), await api.get(f"{path}/workers"), await api.get(f"{path}/figures")


async def _all_workers(target: ApiPlace) -> list[Any]:
    async with open_api(target) as api:
        room = asyncio.Semaphore(_AT_ONCE)

        async def of(path: str) -> list[Any]:
            async with room:
                return (await api.get(f"{path}/workers"))["items"]

        paths = [path_of("skill", each["id"]) async for each in all_items(api, "/api/v1/skills", limit=500)]
        return [worker for workers in await asyncio.gather(*map(of, paths)) for worker in workers]
