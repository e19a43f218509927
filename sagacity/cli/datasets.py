"""`sagacity datasets`: rows that models are trained on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec

from api.links import path_of
from models.data.formats import media_type
from sagacity.cli.connecting import ApiPlace, api_options, open_api, problem_of, run, unreachable
from sagacity.cli.model_files import format_of, size_of
from sagacity.cli.output import Advance, cell, json_option, print_json, print_table, progress

_CHUNK: Final = 64 * 1024
_PATIENCE: Final = 600.0
"""Seconds that a large file may take."""

id_option = click.option("--id", metavar="ID", help="The dataset's id; made when missing.")


@click.group()
def datasets() -> None:
    """See, upload and generate datasets."""


@datasets.command("list")
@click.option("--source", metavar="SOURCE", help="Only those that were this: upload, generated or assembled.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@json_option
@api_options
def list_command(*, target: ApiPlace, source: str | None, limit: int, as_json: bool) -> None:
    """The datasets that changed last.

    Example:

        sagacity datasets list --source upload
    """
    found = run(_list(target, source=source, limit=limit))
    if as_json:
        return print_json(found)
    columns = ("id", "name", "source", "samples_count", "target", "quality_score", "created_at")
    print_table(columns, [[cell(row.get(column)) for column in columns] for row in found])


@datasets.command()
@click.argument("id")
@json_option
@api_options
def show(*, target: ApiPlace, id: str, as_json: bool) -> None:
    """One dataset with the statistics of its columns.

    Example:

        sagacity datasets show monday
    """
    found = run(_get(target, path_of("dataset", id)))
    if as_json:
        return print_json(found)
    click.echo(f"{found['id']}: {found['name']}, {found['samples_count']} samples, by {found['source']}")
    columns = ("name", "type", "missing", "distinct", "mean", "deviation")
    print_table(columns, [[cell(column.get(name)) for name in columns] for column in found["columns"]])


@datasets.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@id_option
@click.option("--name", metavar="NAME", help="For people (default: the file's).")
@click.option("--target", "column", metavar="COLUMN", help="Which column holds the labels.")
@json_option
@api_options
def upload(
    *, target: ApiPlace, file: Path, id: str | None, name: str | None, column: str | None, as_json: bool
) -> None:
    """Upload a CSV, NDJSON or Parquet file. The same file under the same id is the same dataset.

    Example:

        sagacity datasets upload monday.csv --id monday --target class
    """
    query = {"id": id, "name": name or file.stem, "target": column}
    print_dataset(run(_upload(target, file, query)), as_json)


@datasets.command()
@click.option("--samples", type=click.IntRange(1), required=True, metavar="N")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S")
@id_option
@click.option("--name", metavar="NAME", help="For people.")
@json_option
@api_options
def generate(*, target: ApiPlace, samples: int, seed: int, id: str | None, name: str | None, as_json: bool) -> None:
    """Make rows up: two features and a target. The same seed gives the same rows.

    Example:

        sagacity datasets generate --samples 1000 --seed 7 --id made-up
    """
    given = {"samples": samples, "seed": seed, "id": id, "name": name}
    print_dataset(run(_generate(target, given)), as_json)


@datasets.command()
@click.argument("id")
@click.option("--offset", type=click.IntRange(0), default=0, show_default=True, metavar="N")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@json_option
@api_options
def samples(*, target: ApiPlace, id: str, offset: int, limit: int, as_json: bool) -> None:
    """Rows of a dataset.

    Example:

        sagacity datasets samples monday --limit 5
    """
    found = run(_get(target, f"{path_of('dataset', id)}/samples", offset=offset, limit=limit))
    if as_json:
        return print_json(found)
    rows: list[Mapping[str, Any]] = found["items"]
    columns: list[str] = list(rows[0]["values"]) if rows else []
    print_table(("row", *columns), [(row["row"], *(cell(row["values"][name]) for name in columns)) for row in rows])


def print_dataset(answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(f"dataset {answer['dataset_id']}: {answer['samples']} samples, SHA-256 {answer['content']}")


async def _list(target: ApiPlace, **query: Any) -> list[Mapping[str, Any]]:
    async with open_api(target) as api:
        return (await api.get("/api/v1/datasets", **query))["items"]


async def _get(target: ApiPlace, path: str, **query: Any) -> Mapping[str, Any]:
    async with open_api(target) as api:
        return await api.get(path, **query)


async def _upload(target: ApiPlace, file: Path, query: Mapping[str, str | None]) -> Mapping[str, Any]:
    kind, size = media_type(format_of(file)), size_of(file)
    given = {name: value for name, value in query.items() if value is not None}
    headers = {"Content-Type": kind, "Content-Length": str(size)}
    async with open_api(target, timeout=_PATIENCE) as api:
        with progress() as advance:
            chunks = _chunks(file, size, advance)
            try:
                answer = await api.client.post("/api/v1/datasets", params=given, content=chunks, headers=headers)
            except httpx.HTTPError as error:
                raise unreachable(api.url, error) from error
        if answer.status_code >= 400:
            raise problem_of(api.url, answer)
        return answer.json()


async def _chunks(file: Path, size: int, advance: Advance) -> AsyncGenerator[bytes]:
    done = 0
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            yield chunk
            done += len(chunk)
            advance(f"uploading {file.name}", done, size)


async def _generate(target: ApiPlace, given: Mapping[str, Any]) -> Mapping[str, Any]:
    body = msgspec.json.encode({name: value for name, value in given.items() if value is not None})
    async with open_api(target, timeout=_PATIENCE) as api:
        return await api.post("/api/v1/datasets/generate", body)
