"""Rows become a dataset: stored by their hash first, then put on the record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Response

from api.commands import PATH as COMMANDS
from api.links import path_of
from api.metrics import count_command
from api.problems import CONTENT_TYPE, BodyRefused, NotFound, refusal_of
from api.services import Services
from domain import dataset
from domain.dataset import Column, Source
from domain.pipeline import Parameter
from eventstore.blobs import BlobTooLarge
from eventstore.envelope import StreamId
from eventstore.subjects import is_valid_id
from handlers.command import Caller, Directive, Fault, InvalidCommand, Outcome
from models.data.datasets import Prepared

CATEGORY: Final = dataset.dataset.category
_ID: Final = "must be 1 to 128 letters, digits, _ or -"
_TAKEN: Final = "generate"
"""What stands in the place of an id in a path."""


class DatasetAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dataset as it is on the record. `content` is the SHA-256 of its rows as Parquet; `position` may be given to
    any query as `min_position`. `duplicate`: it was there before."""

    dataset_id: str
    content: str
    samples: int
    columns: tuple[Column, ...]
    quality_score: float
    position: int
    links: dict[str, str] = msgspec.field(name="_links")
    target: str | None = None
    duplicate: bool = False
    discarded: bool = False


class Wanted(NamedTuple):
    """How a dataset is to be registered. Without an `id` it gets that of its rows; `key` makes a command sent twice
    the same one."""

    id: str | None
    name: str | None
    target: str | None
    source: Source
    metadata: Mapping[str, Parameter]
    key: str | None


def check_wanted(id: str | None, name: str | None, key: str | None) -> None:
    """Before any work is done. Raises InvalidCommand with every fault."""
    faults: list[Fault] = []
    if id is not None and not is_valid_id(id):
        faults.append(Fault("id", _ID))
    if id == _TAKEN:
        faults.append(Fault("id", f"must not be {_TAKEN!r}"))
    if name is not None and "\0" in name:
        faults.append(Fault("name", "must not contain NUL"))
    if key is not None and not is_valid_id(key):
        faults.append(Fault("header idempotency-key", _ID))
    if faults:
        raise InvalidCommand(faults)


async def register(services: Services, wanted: Wanted, rows: Prepared, caller: Caller) -> Response[Any]:
    """201 for a new dataset, 200 for one that was there, 409 where its id belongs to other rows.

    Raises InvalidCommand, BodyRefused, WriteTooLarge, LogUnavailable.
    """
    if wanted.target is not None and wanted.target not in (column.name for column in rows.columns):
        raise InvalidCommand([Fault("target", f"there is no column {wanted.target!r}")])
    try:
        content = await services.blobs.put(rows.content)
    except BlobTooLarge as error:
        raise BodyRefused("too-large", 413, f"the rows as Parquet: {error}") from error
    (outcome,) = await services.handler.direct([_directive(wanted, rows, content)], caller)
    count_command(outcome.command, "duplicate" if outcome.duplicate else outcome.outcome)
    if outcome.stream.category != CATEGORY:
        raise InvalidCommand([Fault("header idempotency-key", f"belongs to another command, {outcome.command}")])
    if outcome.outcome == "refused":
        problem = refusal_of(outcome, path_of(CATEGORY, outcome.stream.id))
        return Response(problem, status_code=409, media_type=CONTENT_TYPE, headers=_position(outcome))
    answer = _answer(await known(services, outcome.stream.id), outcome)
    return Response(answer, status_code=200 if answer.duplicate else 201, headers=_position(outcome))


def _directive(wanted: Wanted, rows: Prepared, content: str) -> Directive:
    """The same dataset wanted twice is one command."""
    id = wanted.id or f"ds-{content[:16]}"
    command = dataset.Register(
        (wanted.name or id)[:120],
        wanted.source,
        content,
        len(rows.content),
        rows.samples,
        wanted.target,
        rows.columns,
        rows.quality_score,
        dict(wanted.metadata),
    )
    digest = hashlib.sha256(msgspec.json.encode([id, command])).hexdigest()
    return Directive(
        id=wanted.key or f"register-dataset-{digest[:40]}", category=CATEGORY, stream_id=id, command=command
    )


def _position(outcome: Outcome) -> dict[str, str]:
    return {"X-Position": str(outcome.position)}


def _answer(state: dataset.Known, outcome: Outcome) -> DatasetAnswer:
    """What is on the record, which may have been put there by somebody else."""
    registered, path = state.registered, path_of(CATEGORY, outcome.stream.id)
    links = {
        "self": path,
        "samples": f"{path}/samples",
        "events": f"{path}/events",
        "command": f"{COMMANDS}/{outcome.command_id}",
    }
    return DatasetAnswer(
        outcome.stream.id,
        registered.content,
        registered.samples,
        registered.columns,
        registered.quality_score,
        outcome.position,
        links,
        registered.target,
        outcome.duplicate or not outcome.events,
        state.discarded,
    )


async def known(services: Services, id: str) -> dataset.Known:
    """Straight from the log. Raises NotFound, LogUnavailable."""
    events = await services.store.load(StreamId(CATEGORY, id), latest=True)
    match dataset.dataset.fold([services.store.decode(event) for event in events]):
        case dataset.Known() as state:
            return state
        case dataset.Unknown():
            raise NotFound(f"there is nothing called {id!r} among the datasets")
