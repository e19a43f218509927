"""`sagacity sources`: where messages and documents come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from api.links import path_of
from sagacity.cli.changing import change, get, items
from sagacity.cli.connecting import ApiPlace, api_options, run
from sagacity.cli.documents import document_of
from sagacity.cli.output import cell, json_option, print_json, print_table

limit_option = click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)


@click.group()
def sources() -> None:
    """See, register and close the places that records come from."""


@sources.command("list")
@click.option("--platform", metavar="NAME", help="Only those of this platform, such as telegram or folder.")
@click.option("--status", metavar="STATUS", help="Only those that are open, or closed.")
@limit_option
@json_option
@api_options
def list_command(*, target: ApiPlace, platform: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """The sources that changed last.

    Example:

        sagacity sources list --platform folder
    """
    found = run(items(target, "/api/v1/sources", platform=platform, status=status, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("id", "platform", "name", "status", "language", "domain", "updated_at")
    print_table(columns, [[cell(row.get(column)) for column in columns] for row in found])


@sources.command()
@click.argument("id")
@json_option
@api_options
def show(*, target: ApiPlace, id: str, as_json: bool) -> None:
    """One source: what it takes, and how its senders are asked for what is missing.

    Example:

        sagacity sources show scans
    """
    found = run(get(target, path_of("source", id)))
    if as_json:
        return print_json(found)
    click.echo(f"{found['id']}: {found['name']}, {found['platform']}, {found['status']}")
    click.echo(f"messages are posted to {found['_links']['intake']}")
    print_table(("setting", "value"), _settings(found))


@sources.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--id", metavar="ID", help="The source's id; made when missing.")
@json_option
@api_options
@click.pass_context
def register(context: click.Context, *, target: ApiPlace, file: Path, id: str | None, as_json: bool) -> None:
    """Register the source that the JSON (or YAML) in FILE describes; secrets are names of variables.

    Exits 0 when it is registered, 1 when it was refused, 2 with every fault when it is no source. Example:

    \b
        echo '{"platform": "http", "name": "Uploads"}' > uploads.json
        sagacity sources register uploads.json --id uploads
    """
    context.exit(change(target, "source.register", id, document_of(file), as_json))


@sources.command()
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is on the record.")
@json_option
@api_options
@click.pass_context
def close(context: click.Context, *, target: ApiPlace, id: str, reason: str, as_json: bool) -> None:
    """Take nothing more from a source.

    Example:

        sagacity sources close scans --reason "the scanner is gone"
    """
    context.exit(change(target, "source.close", id, {"reason": reason}, as_json))


def _settings(found: Any) -> list[tuple[str, str]]:
    calendar, follow_up, limits = found["calendar"], found["follow_up"], found["limits"]
    hours = f"{calendar['opens']:g} to {calendar['closes']:g} h, {calendar['time_zone']}"
    asks = f"{follow_up['rounds']} times, reminded of after {follow_up['remind_after']:g} h"
    rows = {
        "organization": found["organization_id"],
        "language": found["language"],
        "domain": found["domain"] or "told apart",
        "attachments": f"{', '.join(limits['types'])}, up to {limits['attachment']} bytes",
        "calendar": f"{hours}, {calendar['country'] or 'no country'}",
        "questions": f"{asks}, over after {follow_up['expire_after']:g} h"
        if follow_up["enabled"]
        else "none are asked",
        "answers through": found["reply"]["apprise"] or found["reply"]["token"],
        "signed with": found["secret"],
    }
    return [(name, cell(value)) for name, value in rows.items() if value is not None]
