"""`sagacity records follow|retry|answer|dismiss`: what is done with a record by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import msgspec

from api.links import path_of
from domain.quality_values import NUMBERS
from domain.schema import FieldType, Value
from sagacity.cli import UserError
from sagacity.cli.changing import all_items, change, command_body
from sagacity.cli.command import refusal_of
from sagacity.cli.connecting import Api, ApiPlace, Problem, api_options, open_api, run
from sagacity.cli.output import json_option, print_json, print_table, progress

_BOOLEANS: Final = {"true": True, "yes": True, "false": False, "no": False}


@click.command()
@click.argument("id")
@json_option
@api_options
@click.pass_context
def follow(context: click.Context, *, target: ApiPlace, id: str, as_json: bool) -> None:
    """Tell what happens to a record until nothing more is to be waited for.

    Exits 0 when it is complete (or was an answer to a question), 1 when it is not, 2 when there is none. Example:

        sagacity records follow scans-2f0c6d5e8a914b7c3d2e1f00
    """
    from sagacity.cli.record_following import follow_and_tell

    context.exit(0 if run(follow_and_tell(target, [id], as_json, answers=True)) == ["completed"] else 1)


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All that are parked.")
@click.option("--source", metavar="ID", help="With --all: only those of this source.")
@json_option
@api_options
@click.pass_context
def retry(
    context: click.Context,
    *,
    target: ApiPlace,
    ids: tuple[str, ...],
    every: bool,
    source: str | None,
    as_json: bool,
) -> None:
    """Let parked records go on with the stage that failed.

    Exits 0 when all go on, 1 when some do not. Examples:

    \b
        sagacity records retry scans-2f0c6d5e8a914b7c3d2e1f00
        sagacity records retry --all
    """
    faults = ["name records, or all with --all"] if bool(ids) == every else []
    faults += ["--source: goes with --all"] if source is not None and not every else []
    if faults:
        raise UserError("; ".join(faults))
    outcomes = run(_retry(target, ids, source))
    if as_json:
        print_json(outcomes)
    else:
        print_table(("record", "outcome"), [(each["record_id"], each["outcome"]) for each in outcomes])
    context.exit(0 if all(each["outcome"] == "accepted" for each in outcomes) else 1)


@click.command()
@click.argument("id")
@click.argument("given", nargs=-1, metavar="[PATH=VALUE]...")
@click.option(
    "--refuse", "refused", multiple=True, metavar="PATH", help="The sender will not say: not to be asked for."
)
@json_option
@api_options
@click.pass_context
def answer(
    context: click.Context,
    *,
    target: ApiPlace,
    id: str,
    given: tuple[str, ...],
    refused: tuple[str, ...],
    as_json: bool,
) -> None:
    """Enter what is missing, as if its sender had answered. Dates are written YYYY-MM-DD.

    Exits 0 when it is on the record, 1 when it was refused, 2 with every fault. Example:

        sagacity records answer scans-2f0c6d5e8a914b7c3d2e1f00 total=1190 due_on=2026-12-01
    """
    if not given and not refused:
        raise UserError("give what is missing as PATH=VALUE, or name what is refused with --refuse")
    types = run(_types(target, id))
    values, faults = _values(given, types)
    faults += [f"--refuse: there is no field {path!r}" for path in refused if types and path not in types]
    if faults:
        raise UserError("; ".join(faults))
    context.exit(change(target, "record.answer", id, {"values": values, "refused": refused}, as_json))


@click.command()
@click.argument("id")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is on the record.")
@json_option
@api_options
@click.pass_context
def dismiss(context: click.Context, *, target: ApiPlace, id: str, reason: str, as_json: bool) -> None:
    """Nobody needs it any more: open questions end, nothing is asked.

    Example:

        sagacity records dismiss scans-2f0c6d5e8a914b7c3d2e1f00 --reason "a duplicate"
    """
    context.exit(change(target, "record.dismiss", id, {"reason": reason}, as_json))


async def _retry(target: ApiPlace, ids: Sequence[str], source: str | None) -> list[Mapping[str, Any]]:
    async with open_api(target) as api:
        if not ids:
            parked = all_items(api, "/api/v1/records", status="parked", source=source, limit=500)
            ids = [row["id"] async for row in parked]
        outcomes: list[Mapping[str, Any]] = []
        with progress() as advance:
            for number, id in enumerate(ids, 1):
                outcomes.append({"record_id": id, "outcome": await _retry_one(api, id)})
                advance("records", number, len(ids))
        return outcomes


async def _retry_one(api: Api, id: str) -> str:
    body = msgspec.json.encode(command_body("record.retry", id, {}))
    try:
        return str((await api.post("/api/v1/commands", body))["outcome"])
    except Problem as problem:
        if problem.status == 409:
            return f"refused: {refusal_of(problem.body)}: {problem.body.get('detail')}"
        if problem.status in (400, 404, 422):
            return f"invalid: {problem.format_message()}"
        raise


async def _types(target: ApiPlace, id: str) -> Mapping[str, FieldType]:
    """Of the fields of its schema, by path; none of a record that no schema is for."""
    async with open_api(target) as api:
        record = await api.get(path_of("record", id))
        if not record["schema_version"]:
            return {}
        found = await api.get(path_of("record_schema", record["domain"]))
    schema = found["schemas"][str(record["schema_version"])]
    return {field["path"]: field.get("type", "text") for field in schema["fields"]}


def _values(given: Sequence[str], types: Mapping[str, FieldType]) -> tuple[dict[str, Value], list[str]]:
    """(what is said by path, what is wrong)"""
    values: dict[str, Value] = {}
    faults: list[str] = []
    for each in given:
        path, sign, text = each.partition("=")
        if not sign or not path:
            faults.append(f"{each!r} is no PATH=VALUE")
        elif types and path not in types:
            faults.append(f"there is no field {path!r}; known: {', '.join(sorted(types))}")
        elif path in values:
            faults.append(f"{path} is given twice")
        else:
            try:
                values[path] = _value(text, types.get(path, "text"))
            except ValueError as error:
                faults.append(f"{path}: {error}")
    return values, faults


def _value(text: str, type: FieldType) -> Value:
    """Raises ValueError."""
    if not text.strip():
        raise ValueError("has no value")
    if type in NUMBERS:
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{text!r} is no number such as 1190.50") from None
    if type == "boolean":
        if text.lower() not in _BOOLEANS:
            raise ValueError(f"{text!r} is neither true nor false")
        return _BOOLEANS[text.lower()]
    return text
