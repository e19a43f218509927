"""`sagacity schemas`: what the records of each domain have to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from api.links import path_of
from sagacity.cli.changing import change, get, items
from sagacity.cli.connecting import ApiPlace, api_options, run
from sagacity.cli.documents import document_of
from sagacity.cli.output import cell, json_option, print_json, print_table
from sagacity.cli.sources import limit_option


@click.group()
def schemas() -> None:
    """See and publish the schemas that records are held to."""


@schemas.command("list")
@limit_option
@json_option
@api_options
def list_command(*, target: ApiPlace, limit: int, as_json: bool) -> None:
    """The schemas that changed last.

    Example:

        sagacity schemas list
    """
    found = run(items(target, "/api/v1/record_schemas", limit=limit))
    if as_json:
        return print_json(found)
    columns = ("domain", "title", "version", "fields", "rules", "updated_at")
    rows = [
        (row["id"], row["title"], row["schema_version"], len(row["fields"]), len(row["rules"]), row["updated_at"])
        for row in found
    ]
    print_table(columns, rows)


@schemas.command()
@click.argument("domain")
@click.option("--version", type=click.IntRange(1), metavar="N", help="Not the one that counts now, but this one.")
@json_option
@api_options
def show(*, target: ApiPlace, domain: str, version: int | None, as_json: bool) -> None:
    """One schema with its fields and rules. With --json it is what `schemas publish` takes.

    Example:

        sagacity schemas show financial
    """
    found = run(get(target, path_of("record_schema", domain)))
    number = found["schema_version"] if version is None else version
    schema = found["schemas"].get(str(number))
    if schema is None:
        raise click.UsageError(f"--version: {domain} has no version {number}; known: {', '.join(found['schemas'])}")
    if as_json:
        return print_json(schema)
    withdrawn = ", withdrawn" if number in found["withdrawn"] else ""
    click.echo(f"{domain}: {schema.get('title') or domain}, version {number}{withdrawn}")
    print_table(("field", "type", "required", "weight", "holds", "applies when"), map(_field, schema["fields"]))
    for rule in schema.get("rules", ()):
        click.echo(f"{rule['kind']}: {', '.join(rule['paths'])}")


@schemas.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@api_options
@click.pass_context
def publish(context: click.Context, *, target: ApiPlace, file: Path, as_json: bool) -> None:
    """Publish the schema in FILE (JSON or YAML) as the next version of the domain that is its name.

    Records that were scored by another version keep it. Exits 0 when it is published, 1 when it was refused, 2 with
    every fault when it is no schema. Example:

    \b
        sagacity schemas show financial --json > financial.json
        sagacity schemas publish financial.json
    """
    document = document_of(file)
    context.exit(change(target, "record_schema.publish", _name_in(document), {"schema": document}, as_json))


def _name_in(document: msgspec.Raw) -> str | None:
    """Of a document without one the platform says what else is wrong, too."""
    found = msgspec.json.decode(document)
    name = found.get("name") if isinstance(found, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return name if isinstance(name, str) and name else None


def _field(field: Any) -> tuple[str, ...]:
    bounds = [f"{word} {field[name]:g}" for name, word in _BOUNDS.items() if field.get(name) is not None]
    holds = [*field.get("choices", ()), *bounds, *([field["pattern"]] if field.get("pattern") else [])]
    conditions = [
        f"{each['path']} is {' or '.join(map(str, each['values'])) if each.get('values') else 'there'}"
        for each in field.get("applies_when", ())
    ]
    required = "yes" if field.get("required", True) else "no"
    weight = cell(float(field.get("weight", 1)))
    return field["path"], field.get("type", "text"), required, weight, ", ".join(holds), " and ".join(conditions)


_BOUNDS = {"minimum": "at least", "maximum": "at most", "oldest": "from day", "newest": "to day"}
