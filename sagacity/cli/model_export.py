"""`sagacity models export`: the trainings of a model as runs in MLflow."""

from __future__ import annotations

from typing import Final

import click

from sagacity.cli import UserError
from sagacity.cli.connecting import ApiPlace, LogPlace, api_options
from sagacity.cli.output import json_option, print_json, print_table, progress

_FILES: Final = "MLFLOW_ALLOW_FILE_STORE"
"""What MLflow's client names where it is not set, in many more words."""


@click.command()
@click.argument("id")
@click.option("--mlflow", "tracking_uri", required=True, metavar="URI", help="MLflow's tracking server.")
@click.option("--artifacts", is_flag=True, help="The artifacts, too; they are read from the platform's NATS.")
@click.option("--nats", "--nats-url", "nats_url", metavar="URL", help="NATS servers, for --artifacts.")
@json_option
@api_options
def export(
    *, target: ApiPlace, id: str, tracking_uri: str, artifacts: bool, nats_url: str | None, as_json: bool
) -> None:
    """Make a run in MLflow of every training of a model that has ended, in an experiment of the model's name.

    Made again, the same runs stay. Needs the extra `mlflow`; a store in files needs MLFLOW_ALLOW_FILE_STORE=true.
    Example:

        sagacity models export segments --mlflow http://127.0.0.1:5000
    """
    from sagacity.cli.model_runs import export_all

    with progress() as advance:
        place = LogPlace(nats_url, target.data) if artifacts else None
        try:
            runs = export_all(target, id, tracking_uri, place, advance)
        except UserError as error:
            if _FILES not in str(error):
                raise
            raise UserError(f"{tracking_uri}: MLflow keeps runs in files only with {_FILES}=true set") from error
    if as_json:
        print_json(runs)
    else:
        print_table(("experiment", "run", "outcome"), [tuple(each.values()) for each in runs])
