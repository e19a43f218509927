"""`sagacity workflows retry|give-up|dead-letters`: calls that have failed for good, and wait for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import msgspec

from api.links import path_of
from sagacity.cli import UserError
from sagacity.cli.changing import change, get, items, only_one
from sagacity.cli.connecting import ApiPlace, api_options, open_api, run
from sagacity.cli.output import cell, json_option, print_json, print_table
from sagacity.cli.sources import limit_option


@click.command()
@click.argument("id")
@click.option("--call", metavar="ID", help="Only this one; else all that are parked.")
@json_option
@api_options
@click.pass_context
def retry(context: click.Context, *, target: ApiPlace, id: str, call: str | None, as_json: bool) -> None:
    """Try the parked calls of a run again, with all their attempts.

    Example:

        sagacity workflows retry review-1
    """
    context.exit(change(target, "workflow.retry", id, {} if call is None else {"call": call}, as_json))


@click.command("give-up")
@click.argument("id")
@click.option("--call", metavar="ID", help="Which; needed only where several are parked.")
@click.option("--reason", default="given up by hand", metavar="TEXT", help="Why; it is on the record.")
@json_option
@api_options
@click.pass_context
def give_up(context: click.Context, *, target: ApiPlace, id: str, call: str | None, reason: str, as_json: bool) -> None:
    """Try a parked call no more: it has failed. A compensation is answered for by you then.

    Example:

        sagacity workflows give-up review-1 --reason "nobody needs it any more"
    """
    data = {"call": call or _only_parked(target, id), "reason": reason}
    context.exit(change(target, "workflow.give_up", id, data, as_json))


def _only_parked(target: ApiPlace, id: str) -> str:
    """Raises UserError."""
    under_way = run(get(target, path_of("workflow", id)))["under_way"]
    parked = [name for name, each in under_way.items() if each.get("status") == "parked"]
    return only_one(parked, f"no call of {id} is parked", f"several calls of {id} are parked, name one with --call")


@click.command("dead-letters")
@click.option("--skill", metavar="NAME", help="Only those of this skill.")
@click.option("--run", "of", metavar="ID", help="Only those of this run.")
@click.option("--failure", metavar="KIND", help="Only those that failed last by a timeout, an error, invalid, lost, …")
@click.option("--retry-all", is_flag=True, help="Try them all again instead, with all their attempts.")
@limit_option
@json_option
@api_options
@click.pass_context
def dead_letters(
    context: click.Context,
    *,
    target: ApiPlace,
    skill: str | None,
    of: str | None,
    failure: str | None,
    retry_all: bool,
    limit: int,
    as_json: bool,
) -> None:
    """The calls that have failed for good, of all runs.

    Exits 0, or 1 when one of them could not be tried again. Examples:

    \b
        sagacity workflows dead-letters --skill code_review
        sagacity workflows dead-letters --failure timeout --retry-all
    """
    chosen = {"skill": skill, "run": of, "failure": failure}
    if retry_all:
        context.exit(_retry_all(target, chosen, as_json))
    found = run(items(target, "/api/v1/invocations", status="parked", **chosen, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("id", "run", "step", "skill", "attempts", "failure", "requested_at", "reason")
    print_table(columns, [[cell(row[column]) for column in columns] for row in found])


def _retry_all(target: ApiPlace, chosen: Mapping[str, str | None], as_json: bool) -> int:
    """The exit status."""
    asked = {name: value for name, value in chosen.items() if value is not None} or {"all": True}
    outcomes = run(_retried(target, asked))
    if as_json:
        print_json(outcomes)
    else:
        rows = [(each["run"], ", ".join(each["calls"]), each["outcome"], cell(each.get("reason"))) for each in outcomes]
        print_table(("run", "calls", "outcome", "reason"), rows)
    return 0 if all(each["outcome"] == "accepted" for each in outcomes) else 1


async def _retried(target: ApiPlace, chosen: dict[str, Any]) -> list[Any]:
    """Request by request, as long as there is progress and more."""
    outcomes: list[Any] = []
    async with open_api(target) as api:
        while True:
            answer = await api.post("/api/v1/invocations/retry", msgspec.json.encode(chosen))
            outcomes += answer["items"]
            if not answer["left"]:
                return outcomes
            accepted = [each for each in answer["items"] if each["outcome"] == "accepted"]
            if not accepted:
                raise UserError("none of these could be tried again")
            last = max(each["position"] for each in accepted)
            await api.get("/api/v1/workflows", limit=1, min_position=last, wait=30)
