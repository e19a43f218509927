"""`sagacity quality`: how complete and right the records are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from sagacity.cli.changing import get, items
from sagacity.cli.connecting import ApiPlace, api_options, run
from sagacity.cli.output import cell, json_option, percent, print_json, print_table
from sagacity.cli.sources import limit_option

_SHARE = ("records", "scored", "complete", "mean score", "completeness", "validity")
worst_option = click.option(
    "--worst", type=click.IntRange(1, 100), default=10, show_default=True, help="So many are named, the worst first."
)


@click.group()
def quality() -> None:
    """See what is complete, what is missing, and what is being asked for."""


@quality.command()
@worst_option
@json_option
@api_options
def overview(*, target: ApiPlace, worst: int, as_json: bool) -> None:
    """Everything in sum.

    Records by status, scores by domain and source, what is missing most, and what became of questions.

    Example:

        sagacity quality overview
    """
    found = run(get(target, "/api/v1/quality/overview", worst=worst))
    if as_json:
        return print_json(found)
    status = ", ".join(f"{number} {name}" for name, number in found["status"].items())
    click.echo(f"{found['records']} records{f': {status}' if status else ''}")
    _print_flags(found["flags"])
    print_table(("domain", *_SHARE), map(_share, found["domains"]))
    print_table(("source", *_SHARE), map(_share, found["sources"]))
    missing = [(row["domain"], row["path"], row["records"]) for row in found["missing"]]
    print_table(("domain", "missing most", "records"), missing)
    asked = found["follow_ups"]
    rate = "none is over" if asked["answer_rate"] is None else f"{percent(asked['answer_rate'])} answered in time"
    click.echo(f"{asked['asked']} questions: {asked['open']} open, {asked['overdue']} of them overdue; {rate}")


@quality.command()
@worst_option
@json_option
@api_options
def sources(*, target: ApiPlace, worst: int, as_json: bool) -> None:
    """The sources whose records score worst.

    Example:

        sagacity quality sources --worst 5
    """
    found = run(items(target, "/api/v1/quality/sources", limit=worst))
    if as_json:
        return print_json(found)
    print_table(("source", *_SHARE), map(_share, found))


@quality.command()
@click.option("--source", metavar="ID", help="Only of this source.")
@click.option("--domain", metavar="NAME", help="Only of this domain.")
@click.option("--days", type=click.IntRange(1, 3_660), default=30, show_default=True, help="Back from today (UTC).")
@json_option
@api_options
def trends(*, target: ApiPlace, source: str | None, domain: str | None, days: int, as_json: bool) -> None:
    """How quality went, day by day, source by source and domain by domain.

    Example:

        sagacity quality trends --source scans --days 7
    """
    found = run(items(target, "/api/v1/quality/trends", source=source, domain=domain, days=days))
    if as_json:
        return print_json(found)
    columns = ("day", "source", "domain", "records", "mean score", "completeness", "validity")
    rows = [
        (row["day"][:10], row["source"], row["domain"], row["records"], cell(row["mean_score"]), *_percents(row))
        for row in found
    ]
    print_table(columns, rows)


@quality.command("follow-ups")
@click.option("--source", metavar="ID", help="Only of this source.")
@limit_option
@json_option
@api_options
def follow_ups(*, target: ApiPlace, source: str | None, limit: int, as_json: bool) -> None:
    """Questions that are waiting for an answer, those first that are due first.

    Example:

        sagacity quality follow-ups
    """
    found = run(items(target, "/api/v1/quality/follow-ups", source=source, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("deadline", "record", "number", "channel", "asked", "missing")
    rows = [
        (
            row["deadline"],
            row["record_id"],
            row["number"],
            cell(row["channel"]),
            cell(row["sent_at"]),
            ", ".join(row["missing_fields"]),
        )
        for row in found
    ]
    print_table(columns, rows)


def _print_flags(flags: Mapping[str, int]) -> None:
    if flags:
        click.echo(f"flags: {', '.join(f'{number} {name}' for name, number in flags.items())}")


def _share(row: Mapping[str, Any]) -> Sequence[object]:
    return row["name"], row["records"], row["scored"], row["complete"], cell(row["mean_score"]), *_percents(row)


def _percents(row: Mapping[str, Any]) -> tuple[str, str]:
    completeness, validity = row["mean_completeness"], row["mean_validity"]
    return "" if completeness is None else percent(completeness), "" if validity is None else percent(validity)
