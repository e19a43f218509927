"""`sagacity models register|retrain|follow|promote|rollback`: what changes a model."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from eventstore.envelope import new_id
from sagacity.cli import UserError
from sagacity.cli.command import json_of, print_outcome, refusal_of, send
from sagacity.cli.connecting import ApiPlace, api_options, run
from sagacity.cli.model_files import content_of
from sagacity.cli.output import json_option

reason_option = click.option("--reason", default="", metavar="TEXT", help="Why; it is on the record.")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--data", "given", metavar="JSON|@FILE|-", help="The model, instead of a FILE; - reads standard input.")
@click.option("--id", metavar="ID", help="The model's id; made when missing.")
@json_option
@functools.partial(api_options, data="--directory")
@click.pass_context
def register(
    context: click.Context, *, target: ApiPlace, file: Path | None, given: str | None, id: str | None, as_json: bool
) -> None:
    """Register the model that the JSON in FILE describes.

    It has name, features and target, and of pipeline and policy what is not the default.
    Exits 0 when it is registered, 1 when it was refused, 2 with every fault when it is no model. Example:

        sagacity models register segments.json --id segments
    """
    if file is not None and given is None:
        data = _json_in(file)
    elif given is not None and file is None:
        data = json_of(given, "--data")
    else:
        raise UserError("give the model as a FILE, or with --data")
    context.exit(_change(target, "model.register", id, data, as_json))


@click.command()
@click.argument("id")
@click.option("--dataset", metavar="ID", help="What to train on (default: the latest labelled predictions).")
@click.option("--pipeline", metavar="JSON|@FILE", help="Instead of the model's own.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--follow", "stay", is_flag=True, help="Tell what happens until the experiment has ended.")
@reason_option
@json_option
@api_options
@click.pass_context
def retrain(
    context: click.Context,
    *,
    target: ApiPlace,
    id: str,
    dataset: str | None,
    pipeline: str | None,
    seed: int,
    stay: bool,
    reason: str,
    as_json: bool,
) -> None:
    """Train a new version; it is promoted only when the evidence says that it is better.

    Exits 0 when the training was accepted (with --follow: when the version was promoted), 1 when not. Example:

    \b
        sagacity models retrain segments --dataset monday --follow
    """
    data: dict[str, Any] = {"reason": reason, "seed": seed}
    if dataset is not None:
        data["dataset_id"] = dataset
    if pipeline is not None:
        data["pipeline"] = json_of(pipeline, "--pipeline")
    answer = send(target, "model.retrain", _body("model.retrain", id, data), wait=False)
    refused = refusal_of(answer) is not None
    if refused or not stay:
        print_outcome(answer, as_json)
        context.exit(1 if refused else 0)
    context.exit(_follow(target, _experiment_in(answer), as_json))


@click.command()
@click.argument("experiment")
@json_option
@api_options
@click.pass_context
def follow(context: click.Context, *, target: ApiPlace, experiment: str, as_json: bool) -> None:
    """Tell what happens in EXPERIMENT, a training of a model, until it has ended.

    Exits 0 when its version was promoted, 1 when it was discarded or rolled back, 2 when there is none. Example:

        sagacity models follow segments-2
    """
    context.exit(_follow(target, experiment, as_json))


@click.command()
@click.argument("id")
@click.argument("version")
@reason_option
@json_option
@api_options
@click.pass_context
def promote(context: click.Context, *, target: ApiPlace, id: str, version: str, reason: str, as_json: bool) -> None:
    """Put VERSION into use by hand: no evidence is asked for, and who did it is on the record.

    Exits 0 when it is in use, 1 when that was refused. Example:

        sagacity models promote segments 2 --reason "it is fairer"
    """
    context.exit(_change(target, "model.promote", id, {"version": version, "reason": reason}, as_json))


@click.command()
@click.argument("id")
@click.option("--version", metavar="N", help="One that once was in use (default: the one before).")
@reason_option
@json_option
@api_options
@click.pass_context
def rollback(
    context: click.Context, *, target: ApiPlace, id: str, version: str | None, reason: str, as_json: bool
) -> None:
    """Put the version that was in use before into use again.

    Exits 0 when it is, 1 when that was refused. Example:

        sagacity models rollback segments --reason "complaints from Graz"
    """
    data = {"reason": reason, **({} if version is None else {"version": version})}
    context.exit(_change(target, "model.roll_back", id, data, as_json))


def _json_in(file: Path) -> msgspec.Raw:
    """Raises UserError."""
    try:
        return msgspec.Raw(msgspec.json.format(content_of(file).decode(), indent=-1).encode())
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UserError(f"{file}: is no JSON: {error}") from error


def _follow(target: ApiPlace, experiment: str, as_json: bool) -> int:
    """The exit status."""
    from sagacity.cli.model_following import follow_and_tell

    return 0 if run(follow_and_tell(target, experiment, as_json)) == "promoted" else 1


def _change(target: ApiPlace, type: str, id: str | None, data: Mapping[str, Any] | msgspec.Raw, as_json: bool) -> int:
    """The exit status."""
    answer = send(target, type, _body(type, id, data), wait=True)
    print_outcome(answer, as_json)
    return 1 if refusal_of(answer) else 0


def _body(type: str, id: str | None, data: Mapping[str, Any] | msgspec.Raw) -> dict[str, Any]:
    stream = {} if id is None else {"stream": {"category": "model", "id": id}}
    return {"id": new_id(), "type": type, "data": data, **stream}


def _experiment_in(answer: Mapping[str, Any]) -> str:
    """The one that an accepted retraining opened."""
    opened = [event["stream"] for event in answer["events"] if event["type"] == "experiment.requested"]
    if not opened:
        raise UserError("the answer names no experiment: `sagacity models experiments` lists them")
    return str(opened[0]).rpartition("/")[2]
