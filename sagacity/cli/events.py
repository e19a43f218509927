"""`sagacity events`: follow the log, and move it from and to files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from sagacity.cli import UserError
from sagacity.cli.connecting import ApiPlace, LogPlace, api_options, log_options, run
from sagacity.cli.output import json_option
from sagacity.cli.parameters import CATEGORY, MOMENT, POSITION
from sagacity.cli.tailing import Filters, tail_events


@click.group()
def events() -> None:
    """Follow, export and import the log."""


@events.command()
@click.option("--after", type=POSITION, help="Begin after this position (default: with what comes next; 0: all).")
@click.option("--category", type=CATEGORY, help="Only of this category, such as deployment.")
@click.option("--type", "event_type", help="Only of this type, such as deployment.completed.")
@click.option("--correlation-id", help="Only of this conversation.")
@click.option("--limit", type=click.IntRange(1), help="Stop after that many events.")
@json_option
@api_options
def tail(
    *,
    target: ApiPlace,
    after: int | None,
    category: str | None,
    event_type: str | None,
    correlation_id: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show events as they come, across lost connections. --json prints one document a line.

    Example:

        sagacity events tail --after 0 --category deployment
    """
    filters = Filters(category, event_type, correlation_id)
    run(tail_events(target, filters, after, limit, as_json))


@events.command("export")
@click.option("--out", "-o", default="-", metavar="FILE", help="Where to; - is standard output.")
@click.option("--after", type=POSITION, default=0, help="Only above this position.")
@click.option("--until", type=MOMENT, help="Only up to this position, or moment (RFC 3339).")
@click.option("--category", type=CATEGORY, help="Only of this category, such as deployment.")
@click.option("--resume", is_flag=True, help="Go on with a FILE that an export began, cut off or not.")
@log_options
def export_command(
    *,
    target: LogPlace,
    out: str,
    after: int,
    until: int | datetime | None,
    category: str | None,
    resume: bool,
) -> None:
    """Write events as they are stored, one line each, oldest first.

    Example:

        sagacity events export --out events.ndjson
    """
    from sagacity.archive.exporting import Selection
    from sagacity.cli.moving import export_to

    if isinstance(until, int) and until < after:
        raise UserError(f"--until: {until} is before --after ({after}): there is nothing between them")
    result = export_to(target, out, Selection(after, until, category), resume)
    if result.missing:
        raise UserError(f"{result.missing} positions are missing from the log: `sagacity verify` names them")
    click.echo(f"{result.events} events, up to position {result.position}", err=True)


@events.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--continue", "go_on", is_flag=True, help="Go on after an interrupted import of the same file.")
@log_options
def import_command(*, target: LogPlace, file: Path, go_on: bool) -> None:
    """Restore an export into an empty log: the same events, byte for byte, at the same positions.

    File and log are checked before and after. No saga runner may be at work on the log. Example:

        sagacity events import events.ndjson --nats nats://127.0.0.1:4222
    """
    from sagacity.cli.moving import restore_file

    result = restore_file(target, file, go_on)
    click.echo(f"{result.events} events are in the log, {result.written} of them written now; all verified")
