"""`sagacity models predict|label`: asking a model, and telling it what was right."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from api.links import path_of
from sagacity.cli import UserError
from sagacity.cli.command import json_of
from sagacity.cli.connecting import Api, ApiPlace, Problem, api_options, open_api, run
from sagacity.cli.model_files import answers_to, batched, in_file, read_columns, read_pairs
from sagacity.cli.output import json_option, print_json, progress

if TYPE_CHECKING:
    from domain.pipeline import ColumnType, Value
    from models.data.tables import Columns

ANSWER: tuple[str, ...] = ("id", "prediction", "confidence")
_NAMED: Final = 10
"""Classes, in a warning."""
file_option = click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="CSV, NDJSON or Parquet."
)


@click.command()
@click.argument("id")
@click.option("--features", metavar="JSON|@FILE|-", help="Of one row: feature → value.")
@file_option
@click.option("--batch", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Rows of one request.")
@click.option("--version", metavar="N", help="Not the one in use, but this one.")
@click.option("--keep", metavar="COLUMN", multiple=True, help="A column of FILE that the answers are to have, too.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Not to stdout, but here.")
@json_option
@api_options
def predict(
    *,
    target: ApiPlace,
    id: str,
    features: str | None,
    file: Path | None,
    batch: int,
    version: str | None,
    keep: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Ask a model about one row, or about all rows of a file.

    Of a file, the answers are CSV (with --json: NDJSON): id, prediction, confidence, and the columns to keep.
    The id is what a label is given for, once it is known. Example:

        sagacity models predict segments --file today.csv --keep picture --out answers.csv
    """
    if (features is None) == (file is None):
        raise UserError("give one row with --features, or many with --file")
    taken = [name for name in keep if name in ANSWER]
    if taken:
        raise UserError(f"--keep: the answers have a column {taken[0]!r} of their own")
    if file is not None:
        run(_predict_file(target, id, file, batch, version, keep, out, as_json))
        return
    answer = run(_predict_one(target, id, json_of(features or "", "--features"), version))
    if as_json:
        print_json(answer)
    else:
        certain = f"{100 * answer['confidence']:.1f} %"
        click.echo(f"{answer['prediction']}  ({certain}, version {answer['version']}, prediction {answer['id']})")


@click.command()
@click.argument("id")
@click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    required=True,
    help="CSV or NDJSON with the ids of predictions and their labels.",
)
@click.option("--id-column", default="prediction", show_default=True, metavar="COLUMN", help="Ids of predictions.")
@click.option("--label-column", default="label", show_default=True, metavar="COLUMN", help="What was right.")
@click.option("--batch", type=click.IntRange(1, 10_000), default=1_000, show_default=True, help="Labels of a command.")
@json_option
@api_options
def label(
    *, target: ApiPlace, id: str, file: Path, id_column: str, label_column: str, batch: int, as_json: bool
) -> None:
    """Tell what was right, however late.

    Example:

        sagacity models label segments --file answers.csv --id-column id --label-column truth
    """
    labels = read_pairs(file, (id_column, label_column))
    answers = run(_label(target, id, labels, batch))
    if as_json:
        print_json({"labels": len(labels), "commands": answers})
    else:
        click.echo(f"{len(labels)} labels are recorded, in {len(answers)} commands")
        click.echo(f"those without a prediction are counted as unmatched: see `sagacity models drift {id}`")


async def _predict_one(target: ApiPlace, id: str, features: msgspec.Raw, version: str | None) -> Mapping[str, Any]:
    async with open_api(target) as api:
        return await _ask(api, id, version, {"features": features})


async def _predict_file(
    target: ApiPlace,
    id: str,
    file: Path,
    batch: int,
    version: str | None,
    keep: Sequence[str],
    out: Path | None,
    as_json: bool,
) -> None:
    async with open_api(target) as api:
        model = await api.get(path_of("model", id))
        kinds: dict[str, ColumnType] = {feature["name"]: feature["type"] for feature in model["features"]}
        columns = read_columns(file, kinds, keep)
        total, done = len(next(iter(columns.values()))), 0
        # Lines of answers and a bar would spoil each other.
        shown = out is not None or not sys.stdout.isatty()
        with answers_to(out, [*ANSWER, *keep], as_json) as answers, progress() as advance:
            for rows in batched(_rows(columns), batch):
                instances = [{name: row[name] for name in kinds} for row in rows]
                try:
                    answer = await _ask(api, id, version, {"instances": instances})
                except Problem as problem:
                    raise _placed(problem, file, done) from problem
                for row, predicted in zip(rows, answer["predictions"], strict=True):
                    answers.write({**{name: _text(row[name]) for name in keep}, **predicted})
                done += len(rows)
                if shown:
                    advance("predicting", done, total)


async def _ask(api: Api, id: str, version: str | None, what: Mapping[str, Any]) -> Mapping[str, Any]:
    named = {"version": version} if version is not None else {}
    return await api.post("/api/v1/predict", msgspec.json.encode({"model": id, **named, **what}))


def _placed(problem: Problem, file: Path, before: int) -> UserError:
    """What is wrong with a request, by rows of the file, `before` of which are answered already."""
    faults: list[Mapping[str, Any]] = problem.body.get("faults") or []
    body = {**problem.body, "faults": [{**each, "where": in_file(file, before, each["where"])} for each in faults]}
    told = Problem(problem.status, body)
    return UserError(f"{told.format_message()}; the {before} rows before are answered") if before else told


async def _label(target: ApiPlace, id: str, labels: Sequence[tuple[str, str]], batch: int) -> list[str]:
    """The ids of the commands."""
    commands: list[str] = []
    done = 0
    async with open_api(target) as api:
        await _warn_of_classes(api, id, {label for _, label in labels})
        with progress() as advance:
            for part in batched(labels, batch):
                body = {"labels": [{"prediction": prediction, "label": label} for prediction, label in part]}
                answer = await api.post(f"{path_of('model', id)}/labels", msgspec.json.encode(body))
                commands.append(answer["command_id"])
                done += len(part)
                advance("labels", done, len(labels))
    return commands


async def _warn_of_classes(api: Api, id: str, labels: Set[str]) -> None:
    """Where the version in use can give none of these answers: of a new class, or of another column by mistake."""
    active = (await api.get(f"{path_of('model', id)}/versions", is_active=True))["items"]
    if not active:
        return
    version, classes = active[0]["version"], set(active[0]["classes"])
    others = sorted(labels - classes)
    if others:
        named = ", ".join(map(repr, others[:_NAMED])) + (", and more" if len(others) > _NAMED else "")
        known = ", ".join(map(repr, sorted(classes)[:_NAMED])) + (", and more" if len(classes) > _NAMED else "")
        click.echo(f"warning: version {version} knows no class {named}; it knows {known}", err=True)


def _text(value: Value) -> str:
    """As labels are written: 1.0 is the class "1"."""
    from models.data.cells import as_text

    return "" if value is None else as_text(value)


def _rows(columns: Columns) -> Iterator[dict[str, Any]]:
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))
