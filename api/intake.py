"""Messages on their way in: webhooks of platforms, uploads and CloudEvents, each at the address of its source.

What a platform signs is checked before anything is read. The answer comes when the messages are on the record, so a
sender that hears nothing may send them again: they are recorded once.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from api.intake_answers import answered, fault_of, not_genuine, refusing
from api.metrics import count_command
from api.problems import BodyRefused, NotFound
from api.services import Services
from api.uploads import LARGEST, SLOWEST, Places, check_origin, forget_the_rest
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

_SMALL: Final = 1024 * 1024
"""Bytes up to which a delivery needs no place: what is large or slow keeps no webhook waiting."""

_AT_ONCE: Final = 8
_WAITING: Final = 256
_CATEGORY: Final = "record"


def intake_router(services: Services) -> Router:
    places = Places(_AT_ONCE, _WAITING)

    @get("/{id:str}", summary="Verify the address of a source", media_type=MediaType.TEXT)
    async def verify(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Any]:
        """WhatsApp asks so whether a webhook is meant for it."""
        configuration = await _open(services, id)
        query = {name: str(value) for name, value in request.query_params.items()}
        try:
            return Response(challenge(configuration, os.environ, query), media_type=MediaType.TEXT)
        except NotGenuine as error:
            return not_genuine(request, error)

    @post("/{id:str}", summary="Deliver messages to a source", status_code=201, request_max_body_size=LARGEST)
    async def deliver(request: Request[Any, Any, Any], id: FromPath[str]) -> Response[Any]:
        """As the platform of the source says it: a webhook's delivery, a message as .eml, a form with files, JSON, or
        CloudEvents. 201 when at least one message is new, 200 when all were delivered before, and to the platforms
        that sign, which take any other word for a failure."""
        configuration = await _open(services, id)
        if configuration.secret is None:
            check_origin(request.headers)
        with span_of(request.headers, "intake") as span:
            caller = _named(caller_of(request.headers, span), id)
            async with contextlib.nullcontext() if _small(request) else places.one(request):
                body = await _body(request)
                if not body:
                    raise BodyRefused("malformed", 400, "nothing was delivered")
                try:
                    verified(configuration, os.environ, request.headers, body)
                except NotGenuine as error:
                    return not_genuine(request, error)
                return await _take(services, id, configuration, request, body, caller)

    return Router("/intake", route_handlers=[verify, deliver], tags=["intake"])


async def _open(services: Services, id: str) -> Configuration:
    """Straight from the log. Raises NotFound, LogUnavailable."""
    if is_valid_id(id):
        events = await services.store.load(StreamId(source.source.category, id), latest=True)
        known = source.source.fold([services.store.decode(event) for event in events])
        if isinstance(known, source.Known) and not known.closed:
            return known.configuration
        if isinstance(known, source.Known):
            raise NotFound(f"the source {id!r} is closed")
    raise NotFound(f"there is no open source called {id[:100]!r}")


def _named(caller: Caller, id: str) -> Caller:
    """Who does not say who they are is known by where they deliver."""
    return msgspec.structs.replace(caller, actor=f"source:{id}") if caller.actor == Caller().actor else caller


def _small(request: Request[Any, Any, Any]) -> bool:
    size = request.headers.get("content-length", "")
    return size.isascii() and size.isdecimal() and int(size[:20]) <= _SMALL


async def _body(request: Request[Any, Any, Any]) -> bytes:
    """Raises BodyRefused: what is too large, or too slow."""
    try:
        async with asyncio.timeout(SLOWEST):
            return await request.body()
    except TimeoutError as error:
        raise BodyRefused("too-slow", 408, f"the body did not come in within {SLOWEST:g} s") from error
    except RequestEntityTooLarge as error:
        await forget_the_rest(request)
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
        faults = [fault_of(each) for each in error.faults]
        return refusing(request, 422, str(error), name="not-understood", faults=faults)
    outcomes = [await _record(services, configuration, each, caller) for each in incoming]
    position = max((outcome.position for outcome in outcomes), default=services.live.position)
    refused = [outcome for outcome in outcomes if outcome.outcome == "refused"]
    if refused and len(refused) == len(outcomes):
        return refusing(request, 409, refused[0].reason or "", refusal=refused[0].refusal)
    if configuration.platform == "discord":  # which says what it wants to hear
        return _told(configuration, body, position, anything=bool(incoming))
    return answered(outcomes, position, signed=channel.signed)


def _told(configuration: Configuration, body: bytes, position: int, *, anything: bool) -> Response[Any]:
    told = CHANNELS[configuration.platform].answer(body)
    after = BackgroundTask(_settle, configuration, body) if told is not None and anything else None
    headers = {"X-Position": str(position)}
    return Response(told, status_code=204 if told is None else 200, headers=headers, background=after)


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
