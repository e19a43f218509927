"""Telling the platform what skills there are: one command for each, answered by a process with the api role."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from domain.skill import Register
from eventstore.connection import Connection
from eventstore.envelope import new_id
from eventstore.errors import LogUnavailable
from skills.skill import Skill

log = logging.getLogger(__name__)

_TYPE: Final = "skill.register"
_RETIRED: Final = "version_retired"
_PAUSE: Final = 0.5


class NotRegistered(Exception):
    """The platform refuses some of them; every reason at once."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in reasons.items()))
        self.reasons = dict(reasons)


async def register(
    connection: Connection, skills: Iterable[Skill[Any, Any]], *, actor: str, patience: float = 30.0
) -> None:
    """Each version as it is now; what is there already stays as it is, and what was retired stays retired: that is
    said. Raises NotRegistered, or LogUnavailable when nobody answers within `patience` seconds."""
    reasons: dict[str, str] = {}
    try:
        async with asyncio.timeout(patience):
            for skill in skills:
                reason = await _register(connection, skill, actor)
                if reason is not None:
                    reasons[skill.name] = reason
    except TimeoutError as error:
        raise LogUnavailable("nobody answers commands: is a process with the api role running?") from error
    if reasons:
        raise NotRegistered(reasons)


async def _register(connection: Connection, skill: Skill[Any, Any], actor: str) -> str | None:
    """Why not. Sent again with the same id, the command does nothing new."""
    data = msgspec.to_builtins(Register(skill.specification), str_keys=True)
    data.pop("type", None)
    body = msgspec.json.encode({"id": new_id(), "type": _TYPE, "stream": {"id": skill.name}, "data": data})
    while True:
        try:
            reply = await connection.request(f"cmd.{_TYPE}", body, timeout=10, headers={"X-Actor": actor})
            answer = msgspec.json.decode(reply.data)
            if answer.get("status", 500) not in (503, 504):
                if answer.get("refusal") == _RETIRED:
                    log.warning("%s: %s", skill.name, _refusal(answer))
                    return None
                return _refusal(answer)
        except (NoRespondersError, NatsError, OSError, TimeoutError):
            pass  # the platform may be starting, or starting again
        await asyncio.sleep(_PAUSE)


def _refusal(answer: Mapping[str, Any]) -> str | None:
    if answer.get("status", 500) < 400:
        return None
    faults: list[Mapping[str, Any]] = answer.get("faults") or []
    named = [f"{fault.get('where') or '/'}: {fault.get('what')}" for fault in faults]
    return "; ".join(named) or str(answer.get("detail") or answer.get("title") or "refused")
