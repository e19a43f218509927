"""The answers to commands over NATS: those of `POST /commands`, as bytes, each with its `status`."""

from __future__ import annotations

from typing import Any

import msgspec

from api.commands import reply_to
from handlers.command_handler import CommandHandler
from handlers.requests import Answer


def command_answers(handler: CommandHandler) -> Answer:
    async def respond(type: str, body: bytes, headers: dict[str, str]) -> bytes:
        reply = await reply_to(handler, body, headers, type=type, instance=f"cmd.{type}")
        content: dict[str, Any] = msgspec.to_builtins(reply.content)
        return msgspec.json.encode({**content, "status": reply.status})

    return respond
