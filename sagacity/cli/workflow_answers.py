"""`sagacity workflows approve|reject|cancel`: what people say to a run."""

from __future__ import annotations

import click

from api.links import path_of
from sagacity.cli.changing import change, get, only_one
from sagacity.cli.connecting import ApiPlace, api_options, run
from sagacity.cli.output import json_option


@click.command()
@click.argument("id")
@click.argument("step", required=False)
@click.option("--note", default="", metavar="TEXT", help="On the record, and in the step's output.")
@json_option
@api_options
@click.pass_context
def approve(context: click.Context, *, target: ApiPlace, id: str, step: str | None, note: str, as_json: bool) -> None:
    """Say yes to what a run asks. STEP is needed only where it asks several things.

    Example:

        sagacity workflows approve review-1 --note "looks good"
    """
    data = {"step": step or _only_question(target, id), "note": note}
    context.exit(change(target, "workflow.approve", id, data, as_json))


@click.command()
@click.argument("id")
@click.argument("step", required=False)
@click.option("--note", default="", metavar="TEXT", help="On the record, and in the step's output.")
@json_option
@api_options
@click.pass_context
def reject(context: click.Context, *, target: ApiPlace, id: str, step: str | None, note: str, as_json: bool) -> None:
    """Say no to what a run asks. STEP is needed only where it asks several things.

    Example:

        sagacity workflows reject review-1 --note "not on a Friday"
    """
    data = {"step": step or _only_question(target, id), "note": note}
    context.exit(change(target, "workflow.reject", id, data, as_json))


@click.command()
@click.argument("id")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is on the record.")
@json_option
@api_options
@click.pass_context
def cancel(context: click.Context, *, target: ApiPlace, id: str, reason: str, as_json: bool) -> None:
    """Begin nothing new, and undo what can be undone.

    Example:

        sagacity workflows cancel review-1 --reason "the wrong repository"
    """
    context.exit(change(target, "workflow.cancel", id, {"reason": reason}, as_json))


def _only_question(target: ApiPlace, id: str) -> str:
    """Raises UserError."""
    asked = [str(each["step"]) for each in run(get(target, path_of("workflow", id)))["waiting_for"]]
    return only_one(asked, f"{id} asks nothing at the moment", f"{id} asks several things, name the step")
