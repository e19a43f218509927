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
from typing import Any, Final

import msgspec
from nats.errors import Error as NatsError

from domain import skill, source, workflow_definition
from domain.automation import (
    Action,
    ActionKind,
    Carried,
    GiveCommand,
    InvokeAgent,
    InvokeSkill,
    ProcessDocument,
    SendAlert,
    StartWorkflow,
)
from domain.expressions import Unanswerable
from domain.message import Attachment, Message, Sender
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.errors import EventStoreError, WriteTooLarge
from records.automations.giving import ActionFailed, Give, Giving, behalf_of
from records.automations.occurrence import (
    Occurrence,
    filled,
    filled_in,
    occurrence_id,
    rendered,
    rendered_text,
)
from records.channels.form import Incoming
from records.intake import keep

log = logging.getLogger(__name__)

_REASON: Final = 1_000

_KINDS: Final[Mapping[type[Action], ActionKind]] = {
    ProcessDocument: "process_document",
    SendAlert: "send_alert",
    GiveCommand: "give_command",
    StartWorkflow: "start_workflow",
    InvokeSkill: "invoke_skill",
    InvokeAgent: "invoke_agent",
}

_OWN_SENDERS: Final = frozenset({"whatsapp", "telegram", "discord"})
"""Platforms whose senders are known by ids that no file and no row has."""


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
        reason = occurred.barred
        try:
            if not reason:
                return Carried(_KINDS[type(action)], "done", await self._act(automation_id, number, action, occurred))
        except (ActionFailed, Unanswerable, WriteTooLarge) as error:
            reason = str(error)
        except (EventStoreError, NatsError):
            raise
        except Exception as error:
            log.warning("an action of the automation %s failed", automation_id, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
        return Carried(_KINDS[type(action)], "failed", "", reason[:_REASON])

    async def _act(self, automation_id: str, number: int, action: Action, occurred: Occurrence) -> str:
        """What came of it."""
        key = occurrence_id(automation_id, occurred.id, str(number), msgspec.json.encode(action))
        give = Giving(self.give, key, behalf_of(automation_id, occurred.cause, further=True))
        match action:
            case ProcessDocument():
                return await self._process(action, occurred, give)
            case SendAlert():
                return await self._alert(action, occurred)
            case GiveCommand():
                return await _command(action, occurred, give)
            case StartWorkflow(definition, version, input):
                data = {"definition": definition, "version": version, "input": rendered(input, occurred)}
                return await give.run("workflow.start", data)
            case InvokeSkill(name, version, input):
                data = {"skill": name, "version": version, "input": rendered(input, occurred)}
                return await give.run("workflow.invoke", data)
            case InvokeAgent():
                return await self._agent(action, occurred, give)

    async def _process(self, action: ProcessDocument, occurred: Occurrence, give: Giving) -> str:
        if occurred.unfit or (occurred.content is None and not occurred.fields):
            raise ActionFailed(occurred.unfit or "there is nothing that a record could be made of")
        known = (await self.aggregates.load(source.source, action.source, latest=True)).state
        if not isinstance(known, source.Known):
            raise ActionFailed(f"there is no source {action.source}")
        if known.configuration.platform in _OWN_SENDERS:
            raise ActionFailed(f"{action.source} is a source of messages from {known.configuration.platform} alone")
        kept = await keep(self.blobs, known.configuration, _came(action.source, known.configuration, occurred))
        await give("record.receive", kept.record_id, msgspec.json.encode(kept.command), kept.command_id)
        return kept.record_id

    async def _alert(self, action: SendAlert, occurred: Occurrence) -> str:
        url = self.variables.get(action.apprise)
        if not url:
            raise ActionFailed(f"the variable {action.apprise} is not set")
        if not await self.notify(url, _filled(action.text, occurred)):
            raise ActionFailed(f"the alert was not taken by what {action.apprise} names")
        return ""

    async def _agent(self, action: InvokeAgent, occurred: Occurrence, give: Giving) -> str:
        name = action.agent.removeprefix("@")
        input = rendered(action.input, occurred)
        if action.prompt_template is not None:
            input |= {"prompt": rendered_text(action.prompt_template, occurred)}
        if isinstance((await self.aggregates.load(skill.skill, name, latest=True)).state, skill.Known):
            return await give.run("workflow.invoke", {"skill": name, "input": input})
        kind = workflow_definition.workflow_definition
        if isinstance((await self.aggregates.load(kind, name, latest=True)).state, workflow_definition.Known):
            return await give.run("workflow.start", {"definition": name, "input": input})
        raise ActionFailed(f"there is no agent {action.agent}: neither a skill nor a workflow is called so")


async def _command(action: GiveCommand, occurred: Occurrence, give: Giving) -> str:
    stream_id = _filled(action.stream_id, occurred) if action.stream_id is not None else None
    data = filled_in(action.data, occurred) if occurred.cause is None else rendered(action.data, occurred)
    id = f"act-{give.key}"
    await give(action.command, stream_id, msgspec.json.encode(data), id)
    return id


def _filled(text: str, occurred: Occurrence) -> str:
    """Only events have expressions here: texts of older rules may mean their `${` as it stands."""
    return filled(text, occurred.values) if occurred.cause is None else rendered_text(text, occurred)


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
