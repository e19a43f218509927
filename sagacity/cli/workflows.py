"""`sagacity workflows`: definitions, runs of them, and what is done with a run by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sagacity.cli.changing import command_body, items
from sagacity.cli.command import json_of, print_outcome, refusal_of, send
from sagacity.cli.connecting import ApiPlace, api_options, run
from sagacity.cli.dead_letters import dead_letters, give_up, retry
from sagacity.cli.documents import document_of
from sagacity.cli.output import cell, json_option, print_json, print_table
from sagacity.cli.sources import limit_option
from sagacity.cli.workflow_answers import approve, cancel, reject
from sagacity.cli.workflow_names import missing_names
from sagacity.cli.workflow_showing import graph, show, skills_of


@click.group()
def workflows() -> None:
    """Publish, start, follow and deal with workflows."""


for command in (approve, reject, cancel, retry, give_up, dead_letters, show, graph):
    workflows.add_command(command)


@workflows.command()
@click.option("--skill", metavar="NAME", help="Only those that ask for this skill.")
@click.option("--status", type=click.Choice(["published", "withdrawn"]), help="Only those in this status.")
@limit_option
@json_option
@api_options
def definitions(*, target: ApiPlace, skill: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """The definitions that changed last.

    Example:

        sagacity workflows definitions --skill code_review
    """
    found = run(items(target, "/api/v1/workflow_definitions", skill=skill, status=status, limit=limit))
    if as_json:
        return print_json(found)
    rows = [
        (row["id"], row["latest"], row["status"], len(row["definition"]["steps"]), ", ".join(row["skills"]))
        for row in found
    ]
    print_table(("id", "latest", "status", "steps", "skills"), rows)


@workflows.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="What the definition is called; else as the file is.")
@json_option
@api_options
@click.pass_context
def publish(context: click.Context, *, target: ApiPlace, file: Path, name: str | None, as_json: bool) -> None:
    """Publish the next version of the definition that the JSON (or YAML) in FILE describes.

    What runs stays on its version. Skills and workflows that it names may come later: those that are not there yet are
    told, on standard error. Exits 0 when it is published, 1 when it was refused, 2 with every fault when it is no
    definition. Example:

    \b
        echo '{"steps": {"review": {"skill": "code_review"}}}' > review.json
        sagacity workflows publish review.json
    """
    type, data = "workflow_definition.publish", {"definition": document_of(file)}
    answer = send(target, type, command_body(type, name or file.stem, data), wait=True)
    print_outcome(answer, as_json)
    if refusal_of(answer):
        context.exit(1)
    for line in run(missing_names(target, answer)):
        click.echo(line, err=True)


@workflows.command()
@click.argument("name")
@click.option("--input", "given", metavar="JSON|@FILE|-", help="What the run is given; - reads standard input.")
@click.option("--version", type=click.IntRange(1), metavar="N", help="Of this version; else the latest.")
@click.option("--id", metavar="ID", help="The run's id; made when missing.")
@click.option("--budget", type=click.FloatRange(0), metavar="COST", help="The most that it may cost.")
@click.option("--follow", is_flag=True, help="Tell what happens until it is over.")
@json_option
@api_options
@click.pass_context
def start(
    context: click.Context,
    *,
    target: ApiPlace,
    name: str,
    given: str | None,
    version: int | None,
    id: str | None,
    budget: float | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Start a run of the definition NAME.

    Exits 0 when it has begun (with --follow: is completed), 1 when it was refused (or has failed). Examples:

    \b
        sagacity workflows start review --input '{"path": "."}'
        sagacity workflows start review --input @input.json --follow
    """
    document = None if given is None else json_of(given, "--input")
    data = {"definition": name, "version": version, "input": document, "budget": budget}
    answer = send(target, "workflow.start", command_body("workflow.start", id, data), wait=not follow)
    refused = refusal_of(answer)
    if not (as_json and follow) or refused:
        print_outcome(answer, as_json)
    if refused or not follow:
        context.exit(1 if refused else 0)
    context.exit(_followed(target, answer["stream"]["id"], as_json))


@workflows.command()
@click.argument("id")
@json_option
@api_options
@click.pass_context
def follow(context: click.Context, *, target: ApiPlace, id: str, as_json: bool) -> None:
    """Tell what happens in a run until it is over, or waits for parked calls alone.

    Exits 0 when it is completed, 1 when it is not, 2 when there is none. Example:

        sagacity workflows follow review-1
    """
    context.exit(_followed(target, id, as_json))


@workflows.command("list")
@click.option("--definition", metavar="NAME", help="Only runs of this one.")
@click.option("--status", metavar="STATUS", help="Only those that are running, waiting, paused, completed, …")
@click.option("--after", metavar="TIME", help="Only those that were started after it.")
@click.option("--before", metavar="TIME", help="Only those that were started before it.")
@limit_option
@json_option
@api_options
def list_command(
    *,
    target: ApiPlace,
    definition: str | None,
    status: str | None,
    after: str | None,
    before: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """The runs in which something happened last.

    Example:

        sagacity workflows list --status paused
    """
    query = {"definition": definition, "status": status, "started_at_after": after, "started_at_before": before}
    found = run(items(target, "/api/v1/workflows", **query, limit=limit))
    if as_json:
        return print_json(found)
    skills = run(skills_of(target, [row["id"] for row in found if not row["definition"]]))
    rows = [
        (
            row["id"],
            row["definition"] or skills[row["id"]],
            row["status"],
            f"{row['steps_done']}/{row['steps_total']}",
            *_when(row),
        )
        for row in found
    ]
    print_table(("id", "definition", "status", "steps", "started", "ended", "reason"), rows)


def _followed(target: ApiPlace, id: str, as_json: bool) -> int:
    from sagacity.cli.workflow_following import follow_and_tell

    return 0 if run(follow_and_tell(target, id, as_json)) == "completed" else 1


def _when(row: Any) -> tuple[str, str, str]:
    return row["started_at"], cell(row["ended_at"]), cell(row["reason"])
