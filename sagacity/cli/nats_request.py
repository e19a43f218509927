"""One request over NATS, answered by a process with the api role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from nats.errors import NoRespondersError

from eventstore.connection import connect_to
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace, Problem
from sagacity.cli.event_log import run, server_url


def request(nats_url: str | None, data: str | None, subject: str, body: bytes, actor: str) -> Mapping[str, Any]:
    """The answer's document. Raises Problem for one that says no, UserError when there is none."""
    return run(_request(server_url(LogPlace(nats_url, data)), subject, body, actor))


async def _request(url: str, subject: str, body: bytes, actor: str) -> Mapping[str, Any]:
    connection = await connect_to(url, name="sagacity-cli", patience=5.0, waits=False)
    try:
        if len(body) > connection.max_payload:
            raise UserError(f"the command has {len(body)} bytes; this server takes at most {connection.max_payload}")
        reply = await connection.request(subject, body, timeout=30, headers={"X-Actor": actor})
    except NoRespondersError as error:
        raise UserError(f"nobody answers commands at {url}: is a process with the api role running?") from error
    except TimeoutError as error:
        raise Problem(504, {"detail": f"no answer from {url} in time"}) from error
    finally:
        await connection.close()
    answer: Any = msgspec.json.decode(reply.data)
    if answer.get("status", 500) >= 400:
        raise Problem(answer["status"], answer)
    return answer
