"""Datasets come in as files, or are made up; their rows can be looked at.

Everything that takes time for large tables is done in a thread: nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

import jsonschema
import msgspec
from litestar import Request, Response, Router, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from api.bodies import check_kind, check_text, faults_of_shape, where_malformed
from api.callers import caller_of, span_of
from api.links import link, path_of
from api.problems import BodyRefused, NotFound
from api.queries import Limit, check_accept, check_id
from api.registering import CATEGORY, Wanted, check_wanted, known, register
from api.services import Services
from api.uploads import LARGEST, Places, Upload, read_upload
from api.waiting import LAST_POSITION, MinPosition, Wait, log_reached
from domain.dataset import Id, Name
from domain.pipeline import Parameter
from eventstore.blobs import BlobMissing
from handlers.command import Fault, InvalidCommand
from models.data import generating
from models.data.datasets import Prepared, from_columns, from_file
from models.data.recent import RecentBlobs
from models.data.tables import TableInvalid, read_rows

_AT_ONCE: Final = 2
"""Tables in work at a time: each takes several times the memory of its file."""

_BODIES: Final = 4
_WAITING: Final = 16
"""Uploads whose files are in memory at a time, and that wait for this. More are answered 503."""

_AT_HAND: Final = 64 * 1024 * 1024
"""Bytes of files that were looked into last: who turns pages comes again."""

GivenId = Annotated[str | None, QueryParameter(description="Else `ds-` and the beginning of the rows' hash")]
GivenName = Annotated[
    str | None, QueryParameter(min_length=1, max_length=120, description="Else the file's, or the id")
]
Target = Annotated[str | None, QueryParameter(description="The column with the labels")]
Offset = Annotated[int, QueryParameter(ge=0, le=LAST_POSITION, description="Rows to leave out")]


class Generate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same `samples` and `seed` give the same rows."""

    samples: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    id: Id | None = None
    name: Name | None = None


_shape = jsonschema.Draft202012Validator(msgspec.json.schema(Generate))


def dataset_router(services: Services) -> Router:
    at_once, recent = asyncio.Semaphore(_AT_ONCE), RecentBlobs(_AT_HAND)
    places = Places(_BODIES, _WAITING)

    @post(
        "/datasets",
        summary="Upload a dataset (CSV, Parquet or NDJSON)",
        status_code=201,
        request_max_body_size=LARGEST,
    )
    async def upload(
        request: Request[Any, Any, Any], id: GivenId = None, name: GivenName = None, target: Target = None
    ) -> Response[Any]:
        """The body is the file, or a form with one `file`. What is wrong with it is named all at once."""
        with span_of(request.headers, "dataset.upload") as span:
            caller, key = caller_of(request.headers, span), request.headers.get("idempotency-key")
            check_wanted(id, name, key)
            async with places.one(request):
                file = await read_upload(request)
                async with at_once:
                    rows, metadata = await asyncio.to_thread(_read, file)
                wanted = Wanted(id, name or file.file_name or None, target, "upload", metadata, key)
                return await register(services, wanted, rows, caller)

    @get("/datasets/{id:str}/samples", summary="Rows of a dataset", operation_id="samples_of_dataset")
    async def samples(
        id: FromPath[str],
        offset: Offset = 0,
        limit: Limit = 50,
        min_position: MinPosition = None,
        wait: Wait = 5.0,
    ) -> Response[Any]:
        """In the order of the file; rows count from 1, and what is missing is null."""
        check_id("datasets", id)
        position = await log_reached(services, min_position, wait)
        registered = (await known(services, id)).registered
        try:
            content = await recent.get(services.blobs, registered.content)
        except BlobMissing as error:
            raise NotFound(f"the rows of {id!r} are not stored here") from error
        rows = await asyncio.to_thread(read_rows, content, offset, limit)
        path = f"{path_of(CATEGORY, id)}/samples"
        links = {"self": link(path, offset=offset or None, limit=limit), "dataset": path_of(CATEGORY, id)}
        if offset + limit < registered.samples:
            links["next"] = link(path, offset=offset + limit, limit=limit)
        items = [{"row": number, "values": values} for number, values in enumerate(rows, offset + 1)]
        return Response({"items": items, "_links": links}, headers={"X-Position": str(position)})

    handlers: Sequence[HTTPRouteHandler] = [upload, _generate(services, "/datasets/generate", at_once), samples]
    return Router("/", route_handlers=handlers, tags=["datasets"], before_request=check_accept)


def generate_handler(services: Services) -> HTTPRouteHandler:
    """`POST /generate`, for who is used to it."""
    return _generate(services, "/generate", asyncio.Semaphore(_AT_ONCE))


def _generate(services: Services, path: str, at_once: asyncio.Semaphore) -> HTTPRouteHandler:
    @post(path, summary="Make up a dataset", status_code=201, tags=["datasets"])
    async def generate(request: Request[Any, Any, Any]) -> Response[Any]:
        """Two features and a target to learn; the same for the same `seed`."""
        with span_of(request.headers, "dataset.generate") as span:
            caller, key = caller_of(request.headers, span), request.headers.get("idempotency-key")
            asked = _asked(request.headers.get("content-type"), await request.body())
            check_wanted(asked.id, asked.name, key)
            async with at_once:
                rows = await asyncio.to_thread(_made, asked)
            name = asked.name or f"{asked.samples} rows of seed {asked.seed}"
            metadata = {"generator": generating.NAME, "samples": asked.samples, "seed": asked.seed}
            wanted = Wanted(asked.id, name, generating.TARGET, "generated", metadata, key)
            return await register(services, wanted, rows, caller)

    return generate


def _read(file: Upload) -> tuple[Prepared, dict[str, Parameter]]:
    """Raises InvalidCommand with every fault of the file."""
    try:
        rows = from_file(file.content, file.format)
    except TableInvalid as invalid:
        raise InvalidCommand([Fault("body", fault) for fault in invalid.faults]) from invalid
    named: dict[str, Parameter] = {"file_name": file.file_name} if file.file_name else {}
    return rows, {**named, "format": file.format, "file_sha256": hashlib.sha256(file.content).hexdigest()}


def _made(asked: Generate) -> Prepared:
    return from_columns(*generating.two_features(asked.samples, asked.seed))


def _asked(kind: str | None, raw: bytes) -> Generate:
    """Raises BodyRefused, or InvalidCommand with every fault."""
    check_kind(kind)
    check_text(raw)
    try:
        document = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise BodyRefused("malformed", 400, where_malformed(raw, error)) from error
    try:
        return msgspec.convert(document, Generate)
    except msgspec.ValidationError as error:
        faults = sorted(faults_of_shape(_shape, document), key=lambda fault: fault.where)
        raise InvalidCommand(faults or [Fault("", str(error))]) from error
