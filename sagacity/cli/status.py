"""`sagacity status`: is the platform well, how far are the read models, which sagas are open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import click

from sagacity.cli import UserError
from sagacity.cli.connecting import Api, ApiPlace, Problem, api_options, open_api, run
from sagacity.cli.output import console, json_option, print_json, print_table

_OPEN: Final = ("paused", "compensating", "running")
_SHOWN: Final = 20


class Status(NamedTuple):
    """`projections` and `sagas` are None where the read models cannot be asked."""

    url: str
    health: Mapping[str, Any]
    projections: Sequence[Mapping[str, Any]] | None
    sagas: Sequence[Mapping[str, Any]] | None

    @property
    def healthy(self) -> bool:
        return self.health.get("status") == "ok" and self.projections is not None and self.sagas is not None


@click.command()
@json_option
@api_options
@click.pass_context
def status(context: click.Context, *, target: ApiPlace, as_json: bool) -> None:
    """Health of every dependency, read models with their lag, and open sagas.

    Exits 0 when all is well, 1 when something is not, 2 when nothing answers. Example:

        sagacity status --url http://127.0.0.1:8000
    """
    found = run(_status(target))
    if as_json:
        print_json({**found._asdict(), "healthy": found.healthy})
    else:
        _print(found)
    context.exit(0 if found.healthy else 1)


async def _status(target: ApiPlace) -> Status:
    async with open_api(target) as api:
        return Status(api.url, await _health(api), await _projections(api), await _open_sagas(api))


async def _health(api: Api) -> Mapping[str, Any]:
    """An unhealthy platform answers 503, with the same document."""
    try:
        found = await api.get("/health")
    except Problem as problem:
        found = problem.body
    if not isinstance(found, dict) or "dependencies" not in found:
        raise UserError(f"{api.url}/health does not answer as Sagacity does")
    return found  # pyright: ignore[reportUnknownVariableType]


async def _projections(api: Api) -> Sequence[Mapping[str, Any]] | None:
    try:
        return await api.get("/api/v1/projections")
    except Problem:
        return None


async def _open_sagas(api: Api) -> Sequence[Mapping[str, Any]] | None:
    try:
        pages = [await api.get("/api/v1/sagas", status=each, limit=500) for each in _OPEN]
    except Problem:
        return None
    return [saga for page in pages for saga in page["items"]]


def _print(found: Status) -> None:
    click.echo(f"{found.url}: {found.health['status']}")
    dependencies: Mapping[str, Mapping[str, Any]] = found.health["dependencies"]
    print_table(
        ("dependency", "verdict", "detail"),
        [(name, each["verdict"], each["detail"]) for name, each in dependencies.items()],
    )
    click.echo()
    if found.projections is None or found.sagas is None:
        click.echo("the read models cannot be asked now")
        return
    print_projections(found.projections)
    click.echo()
    _print_sagas(found.sagas)


def print_projections(projections: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        (each["name"], _state(each), each["position"], each["lag_events"], each["lag_seconds"]) for each in projections
    ]
    print_table(("projection", "state", "position", "events behind", "seconds behind"), rows)


def _state(projection: Mapping[str, Any]) -> str:
    state, done, end = projection["state"], projection.get("rebuild_position"), projection.get("rebuild_head")
    if done is not None and end:
        return f"{state} ({done} of {end})"
    return f"{state}: {projection['reason']}" if projection.get("reason") else state


def _print_sagas(sagas: Sequence[Mapping[str, Any]]) -> None:
    if not sagas:
        click.echo("no open sagas")
        return
    rows = [(s["id"], s["status"], s["step"] or "", s["open_effects"], s["reason"] or "") for s in sagas[:_SHOWN]]
    print_table(("open saga", "status", "step", "open effects", "why"), rows)
    if len(sagas) > _SHOWN:
        console().print(f"and {len(sagas) - _SHOWN} more: /api/v1/sagas")
