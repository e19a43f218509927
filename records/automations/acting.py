"""Carrying out the actions of a rule. Each is done at least once, and what it leaves on the record is there once."""

from __future__ import annotations

import asyncio
import mimetypes
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from domain import source
from domain.automation import Action, Carried, GiveCommand, ProcessDocument, SendAlert
from domain.message import Attachment, Message, Sender
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs, BlobTooLarge
from records.automations.occurrence import Occurrence, filled, filled_in
from records.intake import keep

_REASON = 1_000


class Give(Protocol):
    """A command by its type, with an id of its own: given again, it is not carried out again.

    The reason why it was refused, None when it was accepted, now or before. Raises LogUnavailable.
    """

    async def __call__(self, type: str, stream_id: str | None, data: bytes, command_id: str) -> str | None: ...


class ActionFailed(Exception):
    """It did not work, and why."""


class _Came(NamedTuple):
    """What a channel would make of a delivery."""

    message: Message
    original: bytes
    original_type: str
    contents: Mapping[int, bytes]


@dataclass(frozen=True)
class Actions:
    """`variables` are those of the environment; `notify` sends a text to an Apprise URL and says whether it went."""

    aggregates: Aggregates
    blobs: Blobs
    give: Give
    variables: Mapping[str, str]
    notify: Callable[[str, str], Awaitable[bool]]

    async def carry_out(self, automation_id: str, number: int, action: Action, occurred: Occurrence) -> Carried:
        """Raises LogUnavailable; whatever else goes wrong is said."""
        id = f"{automation_id[:60]}-{occurred.id}-{number}"
        name = str(type(action).__struct_config__.tag)
        try:
            match action:
                case ProcessDocument():
                    reference = await self._process(action, occurred)
                case SendAlert():
                    reference = await self._alert(action, occurred)
                case GiveCommand():
                    reference = await self._command(action, occurred, id)
        except (ActionFailed, BlobTooLarge) as error:
            return Carried(name, "failed", "", str(error)[:_REASON])  # pyright: ignore[reportArgumentType]
        return Carried(name, "done", reference)  # pyright: ignore[reportArgumentType]

    async def _process(self, action: ProcessDocument, occurred: Occurrence) -> str:
        known = (await self.aggregates.load(source.source, action.source, latest=True)).state
        if not isinstance(known, source.Known):
            raise ActionFailed(f"there is no source {action.source}")
        kept = await keep(self.blobs, known.configuration, _came(action.source, known.configuration, occurred))
        data = msgspec.json.encode(kept.command)
        refused = await self.give("record.receive", kept.record_id, data, kept.command_id)
        if refused is not None:
            raise ActionFailed(refused)
        return kept.record_id

    async def _alert(self, action: SendAlert, occurred: Occurrence) -> str:
        url = self.variables.get(action.apprise)
        if not url:
            raise ActionFailed(f"the variable {action.apprise} is not set")
        if not await self.notify(url, filled(action.text, occurred.values)):
            raise ActionFailed(f"the alert was not taken by what {action.apprise} names")
        return ""

    async def _command(self, action: GiveCommand, occurred: Occurrence, id: str) -> str:
        stream_id = filled(action.stream_id, occurred.values) if action.stream_id is not None else None
        data = msgspec.json.encode(filled_in(action.data, occurred.values))
        refused = await self.give(action.command, stream_id, data, id)
        if refused is not None:
            raise ActionFailed(refused)
        return id


def _came(source_id: str, configuration: source.Configuration, occurred: Occurrence) -> _Came:
    """A file is an attachment, a row is fields."""
    sender = Sender(configuration.name[:300])
    common: dict[str, Any] = {
        "platform": configuration.platform,
        "source": source_id,
        "external_id": occurred.id,
        "sender": sender,
        "sent_at": occurred.time,
        "metadata": {"occurrence": occurred.what[:2_000]},
    }
    if occurred.content is None:
        message = Message(**common, data=dict(occurred.fields))
        return _Came(message, msgspec.json.encode(occurred.fields), "application/json", {})
    kind = mimetypes.guess_type(occurred.name)[0] or "application/octet-stream"
    attachment = Attachment(occurred.name[:300], kind, len(occurred.content))
    return _Came(Message(**common, attachments=(attachment,)), occurred.content, kind, {0: occurred.content})


async def notify(url: str, text: str) -> bool:
    """Through Apprise, in a thread: it is not asynchronous, and takes a second to import."""

    def send() -> bool:
        import apprise

        sender: Any = apprise.Apprise()
        return bool(sender.add(url) and sender.notify(body=text))

    return await asyncio.to_thread(send)


def variables() -> Mapping[str, str]:
    return os.environ
