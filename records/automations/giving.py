"""Commands that a rule gives: as whom, why, and once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from domain.event_trigger import actor_of
from records.automations.occurrence import Cause


class ActionFailed(Exception):
    """It did not work, and why."""


@dataclass(frozen=True)
class Behalf:
    """As whom something is done, why, and within which conversation (None: one of its own)."""

    actor: str
    correlation_id: str | None = None
    causation_id: str | None = None
    tenant: str | None = None
    traceparent: str | None = None


class Give(Protocol):
    """A command by its type, with an id of its own: given again, it is not carried out again.

    The reason why it was refused, None when it was accepted, now or before. Raises LogUnavailable.
    """

    async def __call__(
        self, type: str, stream_id: str | None, data: bytes, command_id: str, behalf: Behalf
    ) -> str | None: ...


def behalf_of(automation_id: str, cause: Cause | None, *, further: bool = False) -> Behalf:
    """`further`: in the conversation of what is done about the cause, not in that of the cause itself."""
    if cause is None:
        return Behalf(actor_of(automation_id))
    correlation = cause.correlation if further else cause.conversation
    return Behalf(actor_of(automation_id), correlation, cause.id, cause.tenant, cause.traceparent)


@dataclass(frozen=True)
class Giving:
    """`key` is made of the occurrence and the action: what is given under it is given once."""

    give: Give
    key: str
    behalf: Behalf

    async def __call__(self, type: str, stream_id: str | None, data: bytes, command_id: str) -> None:
        """Raises ActionFailed when it is refused, LogUnavailable."""
        refused = await self.give(type, stream_id, data, command_id, self.behalf)
        if refused is not None:
            raise ActionFailed(refused)

    async def run(self, type: str, data: Mapping[str, Any]) -> str:
        """A run with an id of its own. Raises the same."""
        id = f"auto-{self.key}"
        await self(type, id, msgspec.json.encode(data), f"act-{self.key}")
        return id
