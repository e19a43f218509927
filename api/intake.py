"""Messages on their way in: webhooks of platforms, uploads and CloudEvents, each at the address of its source.

What a platform signs is checked before anything is read. The answer comes when the messages are on the record, so a
sender that hears nothing may send them again: they are recorded once.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any, Final

import httpx
import msgspec
from litestar import MediaType, Request, Response, Router, get, post
from litestar.background_tasks import BackgroundTask
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.params import FromPath

from api.callers import caller_of, span_of
from api.links import path_of
from api.metrics import count_command
from api.problems import CONTENT_TYPE, BodyRefused, NotFound, ProblemFault, problem
from api.services import Services
from domain import source
from domain.source import Configuration
from eventstore.blobs import BlobTooLarge
from eventstore.envelope import StreamId, now
from eventstore.subjects import is_valid_id
from handlers.command import Caller, Directive, Outcome
from records.channels import CHANNELS, Incoming, challenge, discord_api, verified
from records.channels.errors import ChannelError, NotGenuine, NotUnderstood
from records.intake import keep

log = logging.getLogger(__name__)

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a delivery."""

_AT_ONCE: Final = 8
"""Deliveries that are held in memory at a time; the others wait."""

_CATEGORY: Final = "record"


class Taken(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one message. `duplicate`: it had been delivered before."""

    record_id: str
    outcome: str
    position: int
    links: dict[str, str] = msgspec.field(name="_links")
    duplicate: bool = False
    refusal: str | None = None
    reason: str | None = None


class IntakeAnswer(msgspec.Struct, frozen=True):
    """All messages of one delivery, in its order."""

    records: list[Taken]


def intake_router(services: Services) -> Router:
    at_once = asyncio.Semaphore(_AT_ONCE)

    @get("/{id:str}", summary="Verify the address of a source", media_type=MediaType.TEXT)
    async def verify(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Any]:
        """WhatsApp asks so whether a webhook is meant for it."""
        configuration = await _open(services, id)
        query = {name: str(value) for name, value in request.query_params.items()}
        try:
            return Response(challenge(configuration, os.environ, query), media_type=MediaType.TEXT)
        except NotGenuine as error:
            return _not_genuine(request, error)

    @post("/{id:str}", summary="Deliver messages to a source", status_code=201, request_max_body_size=LARGEST)
    async def deliver(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Any]:
        """As the platform of the source says it: a webhook's delivery, a message as .eml, a form with files, JSON, or
        CloudEvents. 201 when at least one message is new, 200 when all were delivered before."""
        configuration = await _open(services, id)
        with span_of(request.headers, "intake") as span:
            caller = _named(caller_of(request.headers, span), id)
            async with at_once:
                body = await _body(request)
                try:
                    verified(configuration, os.environ, request.headers, body)
                except NotGenuine as error:
                    return _not_genuine(request, error)
                return await _take(services, id, configuration, request, body, caller)

    return Router("/intake", route_handlers=[verify, deliver], tags=["intake"])


async def _open(services: Services, id: str) -> Configuration:
    """Straight from the log. Raises NotFound, LogUnavailable."""
    if is_valid_id(id):
        events = await services.store.load(StreamId(source.source.category, id), latest=True)
        known = source.source.fold([services.store.decode(event) for event in events])
        if isinstance(known, source.Known) and not known.closed:
            return known.configuration
    raise NotFound(f"there is no open source called {id[:100]!r}")


def _named(caller: Caller, id: str) -> Caller:
    """Who does not say who they are is known by where they deliver."""
    return msgspec.structs.replace(caller, actor=f"source:{id}") if caller.actor == Caller().actor else caller


async def _body(request: Request[Any, Any, Any]) -> bytes:
    try:
        return await request.body()
    except RequestEntityTooLarge as error:
        raise BodyRefused("too-large", 413, f"at most {LARGEST} bytes") from error


async def _take(
    services: Services,
    id: str,
    configuration: Configuration,
    request: Request[Any, Any, Any],
    body: bytes,
    caller: Caller,
) -> Response[Any]:
    channel, headers = CHANNELS[configuration.platform], dict(request.headers)
    try:
        incoming = await asyncio.to_thread(channel.messages, body, id, headers, now())
    except NotUnderstood as error:
        faults = [ProblemFault("", fault) for fault in error.faults]
        return _problem(request, 422, str(error), name="not-understood", faults=faults)
    outcomes = [await _record(services, configuration, each, caller) for each in incoming]
    position = max((outcome.position for outcome in outcomes), default=services.live.position)
    told = channel.answer(body)
    if told is not None:  # the platform says what it wants to hear
        after = BackgroundTask(_settle, configuration, body) if incoming else None
        return Response(told, status_code=200, headers={"X-Position": str(position)}, background=after)
    return _answered(outcomes, position, request)


async def _record(services: Services, configuration: Configuration, incoming: Incoming, caller: Caller) -> Outcome:
    try:
        kept = await keep(services.blobs, configuration, incoming)
    except BlobTooLarge as error:
        raise BodyRefused("too-large", 413, str(error)) from error
    directive = Directive(id=kept.command_id, category=_CATEGORY, stream_id=kept.record_id, command=kept.command)
    (outcome,) = await services.handler.direct([directive], caller)
    count_command(outcome.command, "duplicate" if outcome.duplicate else outcome.outcome)
    return outcome


async def _settle(configuration: Configuration, body: bytes) -> None:
    """Whoever spoke through an interaction waits for a word; that it came is on the record already."""
    try:
        async with httpx.AsyncClient() as client:
            await discord_api.settle(client, configuration, body, "Received.")
    except ChannelError as error:
        log.warning("an interaction was received, but not answered: %s", error)


def _answered(outcomes: list[Outcome], position: int, request: Request[Any, Any, Any]) -> Response[Any]:
    taken = [
        Taken(
            outcome.stream.id,
            outcome.outcome,
            outcome.position,
            {"self": path_of(_CATEGORY, outcome.stream.id)},
            outcome.duplicate,
            outcome.refusal,
            outcome.reason,
        )
        for outcome in outcomes
    ]
    headers = {"X-Position": str(position)}
    if taken and all(each.outcome == "refused" for each in taken):
        return _problem(request, 409, taken[0].reason or "", refusal=taken[0].refusal)
    new = any(each.outcome == "accepted" and not each.duplicate for each in taken)
    return Response(IntakeAnswer(taken), status_code=201 if new else 200, headers=headers)


def _not_genuine(request: Request[Any, Any, Any], error: NotGenuine) -> Response[Any]:
    return _problem(request, 401, str(error), name="not-genuine")


def _problem(request: Request[Any, Any, Any], status: int, detail: str, **more: Any) -> Response[Any]:
    found = problem(status, detail, request.url.path, **more)
    return Response(found, status_code=status, media_type=CONTENT_TYPE)
