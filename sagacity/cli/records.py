"""`sagacity records`: messages and documents, from received to complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from api.links import path_of
from sagacity.cli import UserError
from sagacity.cli.changing import items
from sagacity.cli.connecting import ApiPlace, api_options, open_api, run
from sagacity.cli.output import cell, json_option, percent, print_json, print_table
from sagacity.cli.record_commands import answer, dismiss, follow, retry
from sagacity.cli.record_submitting import submit
from sagacity.cli.sources import limit_option


@click.group()
def records() -> None:
    """Submit documents, see what was read from them, and what is still missing."""


for each in (submit, follow, retry, answer, dismiss):
    records.add_command(each)


@records.command("list")
@click.option("--status", metavar="STATUS", help="Only those that are this (scored, chased, completed, parked …).")
@click.option("--source", metavar="ID", help="Only those of this source.")
@click.option("--domain", metavar="NAME", help="Only those of this domain.")
@limit_option
@json_option
@api_options
def list_command(
    *, target: ApiPlace, status: str | None, source: str | None, domain: str | None, limit: int, as_json: bool
) -> None:
    """The records that changed last.

    Example:

        sagacity records list --status parked
    """
    found = run(items(target, "/api/v1/records", status=status, source=source, domain=domain, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("id", "status", "domain", "score", "missing", "what", "received_at")
    print_table(columns, map(_row, found))


@records.command()
@click.argument("id")
@json_option
@api_options
def show(*, target: ApiPlace, id: str, as_json: bool) -> None:
    """One record: what it says by field, what is missing or wrong, and what was asked.

    Example:

        sagacity records show scans-2f0c6d5e8a914b7c3d2e1f00
    """
    record, questions = run(_show(target, id))
    if as_json:
        return print_json({**record, "follow_ups": questions})
    for line in _head(record):
        click.echo(line)
    print_table(("field", "value", "note"), _fields(record))
    if questions:
        columns = ("question", "status", "asked", "deadline", "missing", "answered")
        print_table(columns, map(_question, questions))


@records.command()
@click.argument("id")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Not to stdout, but here.")
@api_options
def original(*, target: ApiPlace, id: str, out: Path | None) -> None:
    """The message as it came, byte for byte.

    Example:

        sagacity records original scans-2f0c6d5e8a914b7c3d2e1f00 --out invoice.pdf
    """
    content = run(_original(target, id))
    if out is None:
        return click.echo(content, nl=False)
    try:
        out.write_bytes(content)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
    click.echo(f"{out}: {len(content)} bytes")


def _row(row: Mapping[str, Any]) -> Sequence[str]:
    names = [attachment["name"] for attachment in row["attachments"]]
    what = " ".join((row["text"] or ", ".join(names)).split())
    return (
        row["id"],
        row["status"],
        cell(row["domain"]),
        cell(row["score"]),
        ", ".join(row["missing"]),
        what if len(what) <= 60 else f"{what[:57]}...",
        row["received_at"],
    )


def _head(record: Mapping[str, Any]) -> Iterator[str]:
    certain = f" ({percent(record['domain_confidence'])})" if record["domain_confidence"] is not None else ""
    known = [f"{record['domain']}{certain}"] if record["domain"] else []
    known += [f"language {record['language']}"] if record["language"] else []
    yield f"{record['id']}: {', '.join([record['status'], *known])}"
    if record["score"] is not None:
        shares = f"completeness {percent(record['completeness'])}, validity {percent(record['validity'])}"
        yield f"score {cell(record['score'])}: {shares}, by version {record['schema_version']} of the schema"
    sender = record["sender"]
    yield f"from {sender.get('name') or sender['id']} by {record['source']}, {record['sent_at']}"
    for number, attachment in enumerate(record["attachments"], 1):
        size = f", {attachment['size']} bytes" if attachment.get("size") is not None else ""
        refused = f"; not stored: {attachment['refused']}" if attachment.get("refused") else ""
        yield f"attachment {number}: {attachment['name']}, {attachment['media_type']}{size}{refused}"
    if record["parked_reason"]:
        again = "it can be retried" if record["retryable"] else "it cannot be retried as it is"
        yield f"parked at {record['parked_stage']}: {record['parked_reason']}; {again}"
    others = {"says the same as": record["duplicate_of"], "answers": record["answers"]}
    yield from (f"{word} {id}" for word, id in others.items() if id)
    for flag in record["flags"]:
        if flag.get("path") not in record["values"] and flag.get("path") not in record["missing"]:
            where = f" {flag['path']}" if flag.get("path") else ""
            yield f"{flag['kind']}{where}: {flag['detail']}" if flag.get("detail") else f"{flag['kind']}{where}"


def _fields(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    notes: dict[str, list[str]] = {}
    for flag in record["flags"]:
        said = f"{flag['kind']}: {flag['detail']}" if flag.get("detail") else flag["kind"]
        notes.setdefault(flag.get("path") or "", []).append(said)
    for path in sorted({*record["values"], *record["missing"]}):
        value = record["values"].get(path)
        note = ["missing"] if path in record["missing"] else []
        yield path, "" if value is None else str(value), "; ".join([*note, *notes.get(path, [])])


def _question(row: Mapping[str, Any]) -> Sequence[str]:
    values = ", ".join(f"{path}={value}" for path, value in row["values"].items())
    missing = ", ".join(row["missing_fields"])
    return str(row["number"]), row["status"], cell(row["sent_at"]), cell(row["deadline"]), missing, values


async def _show(target: ApiPlace, id: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    path = path_of("record", id)
    async with open_api(target) as api:
        return await api.get(path), (await api.get(f"{path}/follow_ups"))["items"]


async def _original(target: ApiPlace, id: str) -> bytes:
    async with open_api(target) as api:
        return (await api.send("GET", f"{path_of('record', id)}/original", {})).content
