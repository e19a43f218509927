"""`sagacity models`: models in production."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from api.links import path_of
from sagacity.cli.connecting import ApiPlace, api_options, open_api, run
from sagacity.cli.model_commands import follow, promote, register, retrain, rollback
from sagacity.cli.model_drift import drift
from sagacity.cli.model_export import export
from sagacity.cli.model_plots import plot
from sagacity.cli.model_predictions import label, predict
from sagacity.cli.output import cell, json_option, print_json, print_table

limit_option = click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)


@click.group()
def models() -> None:
    """Train models, put them into production, watch them, and roll them back."""


for each in (register, predict, label, retrain, follow, promote, rollback, drift, plot, export):
    models.add_command(each)


@models.command("list")
@limit_option
@json_option
@api_options
def list_command(*, target: ApiPlace, limit: int, as_json: bool) -> None:
    """The models that changed last.

    Example:

        sagacity models list
    """
    found = run(_items(target, "/api/v1/models", limit=limit))
    if as_json:
        return print_json(found)
    columns = ("id", "name", "active_version", "accuracy", "training", "updated_at")
    print_table(columns, [[cell(row.get(column)) for column in columns] for row in found])


@models.command()
@click.argument("id")
@json_option
@api_options
def show(*, target: ApiPlace, id: str, as_json: bool) -> None:
    """One model with its versions.

    Example:

        sagacity models show segments
    """
    model, versions = run(_show(target, id))
    if as_json:
        return print_json({**model, "versions": versions})
    in_use = f"version {model['active_version']} is in use" if model["active_version"] else "no version is in use"
    click.echo(f"{model['id']}: {model['name']}; {in_use}")
    names = ", ".join(feature["name"] for feature in model["features"])
    click.echo(f"{model['pipeline']['algorithm']} of {model['target']!r} by {names}")
    if model["training"]:
        click.echo(f"under way: {model['training']}")
    columns = ("version", "deployment_status", "accuracy", "training_samples", "training_data_ref", "created_at")
    print_table(columns, [[cell(row.get(column)) for column in columns] for row in versions])


@models.command()
@click.argument("id", required=False)
@limit_option
@json_option
@api_options
def experiments(*, target: ApiPlace, id: str | None, limit: int, as_json: bool) -> None:
    """The trainings that changed last, of one model or of all.

    Example:

        sagacity models experiments segments
    """
    found = run(_items(target, "/api/v1/experiments", model_id=id, limit=limit))
    if as_json:
        return print_json(found)
    rows = [
        (
            row["id"],
            row["trigger"],
            row["outcome"] or row["step"] or row["status"],
            cell(_accuracy(row["results"])),
            cell(row["duration_seconds"]),
            row["outcome_reason"] or row["decision_reason"] or row["reason"],
        )
        for row in found
    ]
    print_table(("experiment", "trigger", "outcome", "accuracy", "seconds", "why"), rows)


@models.command()
@click.argument("id")
@click.option("--metric", metavar="NAME", help="Only this one, such as error_rate or accuracy.")
@click.option("--version", metavar="N", help="Only of this version.")
@limit_option
@json_option
@api_options
def metrics(*, target: ApiPlace, id: str, metric: str | None, version: str | None, limit: int, as_json: bool) -> None:
    """What was measured of a model: in training, on the rows held out, and in production; the latest first.

    Example:

        sagacity models metrics segments --metric error_rate
    """
    found = run(_items(target, f"{path_of('model', id)}/metrics", metric_name=metric, version=version, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("timestamp", "version", "environment", "metric_name", "metric_value")
    print_table(columns, [[cell(row.get(column)) for column in columns] for row in found])


def _accuracy(results: Mapping[str, Any] | None) -> float | None:
    """On the rows held out, once it was tried on them."""
    return results["metrics"].get("accuracy") if results else None


async def _items(target: ApiPlace, path: str, **query: Any) -> list[Mapping[str, Any]]:
    async with open_api(target) as api:
        return (await api.get(path, **query))["items"]


async def _show(target: ApiPlace, id: str) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
    async with open_api(target) as api:
        return await api.get(path_of("model", id)), (await api.get(f"{path_of('model', id)}/versions", limit=500))[
            "items"
        ]
