"""The answers to commands over NATS: those of `POST /commands`, as bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from api.callers import caller_of
from api.commands import answer, read_body
from api.problems import BodyRefused
from eventstore.errors import LogUnavailable, WriteTooLarge
from handlers.command import InvalidCommand
from handlers.command_handler import CommandHandler
from handlers.requests import Answer


def command_answers(handler: CommandHandler) -> Answer:
    async def respond(type: str, body: bytes, headers: dict[str, str]) -> bytes:
        status, content = await _answer(handler, type, body, headers)
        return msgspec.json.encode({"status": status, **content})

    return respond


async def _answer(
    handler: CommandHandler, type: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    try:
        request = read_body(_with_type(type, body))
        outcome = await handler.handle(request, caller_of(headers))
    except BodyRefused as error:
        return error.status, _problem(error.name, str(error))
    except InvalidCommand as error:
        faults = [{"where": fault.where, "what": fault.what} for fault in error.faults]
        return 422, {**_problem("invalid", str(error)), "faults": faults}
    except WriteTooLarge as error:
        return 413, _problem("too-large", str(error))
    except LogUnavailable:
        return 503, _problem("log-unavailable", "the log cannot be reached now; send the same again")
    if outcome.outcome == "refused":
        name = (outcome.refusal or "refused").replace("_", "-")
        more = {"command_id": outcome.command_id, "position": outcome.position, "duplicate": outcome.duplicate}
        return 409, {**_problem(name, outcome.reason or ""), **more}
    return 200 if outcome.duplicate else 201, msgspec.to_builtins(answer(outcome))


def _with_type(type: str, body: bytes) -> bytes:
    """The subject names the command; a body that names another one is left to be refused."""
    try:
        fields = msgspec.json.decode(body or b"{}", type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body
    named = fields.get("type")
    if named is not None and bytes(named) != msgspec.json.encode(type):
        raise BodyRefused("invalid", 422, f"the body is for {bytes(named).decode()}, the subject for {type}")
    fields["type"] = msgspec.Raw(msgspec.json.encode(type))
    return msgspec.json.encode(fields)


def _problem(name: str, detail: str) -> dict[str, Any]:
    return {"type": f"/problems/{name}", "detail": detail}
