"""`sagacity replay drift`: recorded drift and comparisons of models judged again. Nothing in the log changes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from domain import model, monitor
from domain.model_policy import Monitoring
from eventstore.blobs import BlobMissing, Blobs
from eventstore.catalogue import tag_of
from eventstore.envelope import Recorded, StreamId, recorded
from eventstore.store import EventStore
from eventstore.subjects import stream_filter
from models.observe.drift_changes import Rejudged
from models.observe.drift_policy import AS_RECORDED, Policy
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace, log_options
from sagacity.cli.drift_verdicts import identical, print_document, print_verdicts
from sagacity.cli.event_log import open_log, run
from sagacity.cli.output import Advance, json_option, progress
from sagacity.cli.parameters import MOMENT

_PAGE: Final = 500
_BEGAN: Final = tag_of(monitor.Began)


@click.command()
@click.option("--policy", metavar="FILE", help="JSON. Without one, as recorded: a check of the log.")
@click.option(
    "--since", type=MOMENT, help="Only what was watched beginning from this position or moment (RFC 3339) on."
)
@click.option("--model", "model_id", metavar="ID", help="Only of this model.")
@json_option
@log_options
@click.pass_context
def drift(
    context: click.Context,
    *,
    target: LogPlace,
    policy: str | None,
    since: int | datetime | None,
    model_id: str | None,
    as_json: bool,
) -> None:
    """Judge the recorded drift of models again, under another policy.

    Exits 1 when, without one, a recorded verdict does not come out again. Example:

        sagacity replay drift --policy patient.json --model churn
    """
    other = _policy(policy) if policy is not None else None
    found = run(_from_log(target, other, since, model_id))
    if as_json:
        print_document(other, found)
    else:
        print_verdicts(other, found)
    context.exit(1 if identical(found) is False else 0)


def _policy(file: str) -> Policy:
    """Raises UserError."""
    try:
        found = msgspec.json.decode(Path(file).read_bytes(), type=Policy)
        found.instead_of(Monitoring())
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is no policy: {error}") from error
    if found == AS_RECORDED:
        raise UserError(f"{file}: says nothing else than the record: give monitoring, gate or watch")
    return found


async def _from_log(
    target: LogPlace, policy: Policy | None, since: int | datetime | None, model_id: str | None
) -> list[Rejudged]:
    async with open_log(target) as store:
        ids = [model_id] if model_id is not None else await _models(store)
        passed_over: list[str] = []
        with progress() as advance:
            found = [await _rejudged(store, id, policy, since, advance, passed_over) for id in ids]
    found = [each for each in found if each.observations]
    if not found:
        raise UserError("; ".join(passed_over) or "there are no such observations of models in the log")
    for each in passed_over:
        click.echo(f"sagacity: {each}", err=True)
    return found


async def _models(store: EventStore) -> list[str]:
    """In the order in which they were registered."""
    ids: dict[str, None] = {}
    position = 0
    while page := await store.read(position, category=model.model.category):
        ids |= {event.stream.id: None for event in page}
        position = page[-1].position
    return list(ids)


async def _rejudged(
    store: EventStore,
    id: str,
    policy: Policy | None,
    since: int | datetime | None,
    advance: Advance,
    passed_over: list[str],
) -> Rejudged:
    """Adds to `passed_over` what cannot be judged. Raises UserError."""
    from models.data.tables import TableInvalid
    from models.observe.drift_rejudged import rejudge
    from models.observe.drift_replay import UnfoundedVerdict
    from sagacity.cli.kept_rows import KeptRows

    rows = KeptRows(Blobs(store.connection).get)
    last = (await store.state()).last
    first = 1 + await _beginnings(store, id, since) if since is not None else 1

    async def events() -> AsyncGenerator[monitor.Event]:
        async with aclosing(_stream(store, id)) as found:
            async for event in found:
                advance(f"judging {id}", event.position, last)
                data = store.decode(event)
                rows.hear(data)
                yield data

    try:
        async with aclosing(events()) as judged:
            found = await rejudge(id, judged, rows.get, policy, first)
    except (UnfoundedVerdict, BlobMissing, TableInvalid) as error:
        raise UserError(f"monitor/{id}: {_sentence(error)}") from error
    passed_over += [f"monitor/{id}: {each}" for each in rows.passed_over()]
    return found


def _sentence(error: Exception) -> str:
    return f"what is stored under {error} is missing" if isinstance(error, BlobMissing) else str(error)


async def _beginnings(store: EventStore, id: str, before: int | datetime) -> int:
    """How many versions were watched before."""
    async with aclosing(_stream(store, id)) as found:
        began = [event async for event in found if event.type == _BEGAN]
    return sum(_at(event, before) < before for event in began)


def _at(event: Recorded, like: Any) -> Any:
    return event.position if isinstance(like, int) else event.time


async def _stream(store: EventStore, id: str) -> AsyncGenerator[Recorded]:
    """What is recorded of one model. Raises UserError for an id that is none."""
    try:
        subject = stream_filter(store.location, StreamId(monitor.monitor.category, id))
    except ValueError as error:
        raise UserError(f"{id!r} is no id of a model") from error
    position = 0
    while page := await store.reader.page(position, _PAGE, subject=subject):
        for each in page:
            yield recorded(*each)
        position = page[-1][0]
