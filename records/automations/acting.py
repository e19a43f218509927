"""Carrying out the actions of a rule. Each is done at least once, and what it leaves on the record is there once.

An alert leaves nothing there: after a crash between sending it and recording that, it is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import mimetypes
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import msgspec
from nats.errors import Error as NatsError

from domain import source
from domain.automation import Action, Carried, GiveCommand, ProcessDocument, SendAlert
from domain.message import Attachment, Message, Sender
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.errors import EventStoreError, WriteTooLarge
from records.automations.occurrence import Occurrence, filled, filled_in, occurrence_id
from records.channels.form import Incoming
from records.intake import keep

log = logging.getLogger(__name__)

_REASON: Final = 1_000

_KINDS: Final[Mapping[type[Action], Literal["process_document", "send_alert", "give_command"]]] = {
    ProcessDocument: "process_document",
    SendAlert: "send_alert",
    GiveCommand: "give_command",
}

_OWN_SENDERS: Final = frozenset({"whatsapp", "telegram", "discord"})
"""Platforms whose senders are known by ids that no file and no row has."""


class Give(Protocol):
    """A command by its type, with an id of its own: given again, it is not carried out again.

    The reason why it was refused, None when it was accepted, now or before. Raises LogUnavailable.
    """

    async def __call__(self, type: str, stream_id: str | None, data: bytes, command_id: str) -> str | None: ...


class ActionFailed(Exception):
    """It did not work, and why."""


@dataclass(frozen=True)
class Actions:
    """`variables` are those of the environment; `notify` sends a text to an Apprise URL and says whether it went."""

    aggregates: Aggregates
    blobs: Blobs
    give: Give
    variables: Mapping[str, str]
    notify: Callable[[str, str], Awaitable[bool]]

    async def carry_out(self, automation_id: str, number: int, action: Action, occurred: Occurrence) -> Carried:
        """Raises what says that the log cannot be had; whatever else goes wrong is said, and does not come again."""
        try:
            match action:
                case ProcessDocument():
                    return Carried("process_document", "done", await self._process(action, occurred))
                case SendAlert():
                    return Carried("send_alert", "done", await self._alert(action, occurred))
                case GiveCommand():
                    id = f"act-{occurrence_id(automation_id, occurred.id, str(number), msgspec.json.encode(action))}"
                    return Carried("give_command", "done", await self._command(action, occurred, id))
        except (ActionFailed, WriteTooLarge) as error:
            reason = str(error)
        except (EventStoreError, NatsError):
            raise
        except Exception as error:
            log.warning("an action of the automation %s failed", automation_id, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
        return Carried(_KINDS[type(action)], "failed", "", reason[:_REASON])

    async def _process(self, action: ProcessDocument, occurred: Occurrence) -> str:
        if occurred.unfit or (occurred.content is None and not occurred.fields):
            raise ActionFailed(occurred.unfit or "there is neither a file nor a row")
        known = (await self.aggregates.load(source.source, action.source, latest=True)).state
        if not isinstance(known, source.Known):
            raise ActionFailed(f"there is no source {action.source}")
        if known.configuration.platform in _OWN_SENDERS:
            raise ActionFailed(f"{action.source} is a source of messages from {known.configuration.platform} alone")
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
        data = msgspec.json.encode(filled_in(action.data, occurred))
        refused = await self.give(action.command, stream_id, data, id)
        if refused is not None:
            raise ActionFailed(refused)
        return id


def _came(source_id: str, configuration: source.Configuration, occurred: Occurrence) -> Incoming:
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
        return Incoming(message, msgspec.json.encode(occurred.fields), "application/json", {})
    kind = mimetypes.guess_type(occurred.name)[0] or "application/octet-stream"
    attachment = Attachment(occurred.name[:300], kind, len(occurred.content))
    return Incoming(Message(**common, attachments=(attachment,)), occurred.content, kind, {0: occurred.content})


async def notify(url: str, text: str) -> bool:
    """Through Apprise, in a thread: it is not asynchronous, and takes a second to import."""

    def send() -> bool:
        import apprise

        sender: Any = apprise.Apprise()
        return bool(sender.add(url) and sender.notify(body=text))

    return await asyncio.to_thread(send)


def variables() -> Mapping[str, str]:
    return os.environ
