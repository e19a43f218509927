"""`sagacity automations`: rules that act by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from api.links import path_of
from sagacity.cli.changing import change, items
from sagacity.cli.connecting import ApiPlace, api_options, open_api, run
from sagacity.cli.documents import document_of
from sagacity.cli.output import cell, json_option, print_json, print_table
from sagacity.cli.sources import limit_option


@click.group()
def automations() -> None:
    """See, register, pause and remove rules: what sets them off, and what is done then."""


@automations.command("list")
@click.option("--status", metavar="STATUS", help="Only those that are active, paused or removed.")
@limit_option
@json_option
@api_options
def list_command(*, target: ApiPlace, status: str | None, limit: int, as_json: bool) -> None:
    """The automations that did something last, or were changed; with what keeps one from being carried out.

    Example:

        sagacity automations list --status active
    """
    found = run(items(target, "/api/v1/automations", status=status, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("id", "name", "status", "set off by", "fired", "failed", "last_fired_at", "trouble")
    rows = [
        [cell(row[column]) if column in row else trigger_line(row["trigger"]) for column in columns] for row in found
    ]
    print_table(columns, rows)


@automations.command()
@click.argument("id")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Of what it did last.")
@json_option
@api_options
def show(*, target: ApiPlace, id: str, limit: int, as_json: bool) -> None:
    """One automation, and what it did last.

    Example:

        sagacity automations show scans
    """
    found, firings = run(_show(target, id, limit))
    if as_json:
        return print_json({**found, "firings": firings})
    name = f", {found['name']}" if found["name"] else ""
    why = f" ({found['reason']})" if found["reason"] else ""
    click.echo(f"{found['id']}{name}: {found['status']}{why}")
    if found["trouble"]:
        click.echo(f"cannot be carried out: {found['trouble']}")
    click.echo(f"set off by {trigger_line(found['trigger'])}")
    if found["parallel"]:
        click.echo("all at once:")
    for number, action in enumerate(found["actions"], 1):
        click.echo(f"{number}. {action_line(action)}")
    rows = [
        (
            firing["time"],
            firing["what"],
            carried["action"],
            carried["outcome"],
            carried["reason"] or carried["reference"],
        )
        for firing in firings
        for carried in firing["carried"]
    ]
    print_table(("time", "what", "action", "outcome", "came of it"), rows)


@automations.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--id", metavar="ID", help="The automation's id; made when missing. Registered again, it is replaced.")
@json_option
@api_options
@click.pass_context
def register(context: click.Context, *, target: ApiPlace, file: Path, id: str | None, as_json: bool) -> None:
    """Register the rule that the JSON (or YAML) in FILE describes.

    It has a trigger and actions. Exits 0 when it is registered, 1 when it was refused, 2 with every fault when it is
    no rule. Example:

        sagacity automations register scans.yaml --id scans
    """
    context.exit(change(target, "automation.register", id, document_of(file), as_json))


@automations.command()
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is on the record.")
@json_option
@api_options
@click.pass_context
def pause(context: click.Context, *, target: ApiPlace, id: str, reason: str, as_json: bool) -> None:
    """Let it rest.

    Example:

        sagacity automations pause scans --reason "the scanner is being cleaned"
    """
    context.exit(change(target, "automation.pause", id, {"reason": reason}, as_json))


@automations.command()
@click.argument("id")
@json_option
@api_options
@click.pass_context
def resume(context: click.Context, *, target: ApiPlace, id: str, as_json: bool) -> None:
    """Go on. Files and rows that came meanwhile are dealt with; moments that passed are not.

    Example:

        sagacity automations resume scans
    """
    context.exit(change(target, "automation.resume", id, {}, as_json))


@automations.command()
@click.argument("id")
@json_option
@api_options
@click.pass_context
def remove(context: click.Context, *, target: ApiPlace, id: str, as_json: bool) -> None:
    """End it; what it did stays on the record.

    Example:

        sagacity automations remove scans
    """
    context.exit(change(target, "automation.remove", id, {}, as_json))


def trigger_line(trigger: Mapping[str, Any]) -> str:
    match trigger["type"]:
        case "file_watcher":
            return f"files {trigger['path'].rstrip('/')}/{trigger.get('pattern', '*')}"
        case "database_poller":
            return f"rows of {trigger['database']} by {trigger['cursor']}"
        case "event":
            place = trigger.get("category") or trigger.get("source")
            where = f" where {trigger['where']}" if trigger.get("where") else ""
            return f"events {', '.join(trigger['types'])}{f' of {place}' if place else ''}{where}"
        case _:
            return f"the clock: {_moments_line(trigger)}"


def _moments_line(trigger: Mapping[str, Any]) -> str:
    if trigger.get("at"):
        return f"once, at {trigger['at']}"
    every = trigger.get("every")
    if every:
        return f"every {every}" if isinstance(every, str) else f"every {every}s"
    return f"{trigger['cron']} {trigger.get('time_zone', 'UTC')}"


def action_line(action: Mapping[str, Any]) -> str:
    match action["type"]:
        case "process_document":
            return f"it becomes a record of {action['source']}"
        case "send_alert":
            return f"an alert through {action['apprise']}: {action['text']}"
        case "start_workflow":
            return f"a run of {action['definition']}"
        case "invoke_skill":
            return f"the skill {action['skill']}"
        case "invoke_agent":
            return f"the agent {action['agent']}"
        case _:
            return f"the command {action['command']}"


async def _show(target: ApiPlace, id: str, limit: int) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    path = path_of("automation", id)
    async with open_api(target) as api:
        return await api.get(path), (await api.get(f"{path}/firings", limit=limit))["items"]
