"""What a follow-up saga knows from its beginning, and what its steps find out."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from domain import conversation, record, saga
from domain.due import reminds
from domain.record import Chase
from sagas.definition import Told

KIND: Final = "follow-up"
Sending = Literal["ask", "remind"]
Step = Literal["ask", "wait", "remind", "await"]

_LONGEST_REASON: Final = 1_000


class FollowUp(msgspec.Struct, frozen=True):
    """The input of the saga: the question `number` of a record. Whom it is for is on the record."""

    record_id: str
    number: int
    gaps: tuple[str, ...]
    chase: Chase

    @property
    def steps(self) -> tuple[Step, ...]:
        return ("ask", "wait", "remind", "await") if reminds(self.chase) else ("ask", "await")

    def key(self, step: Sending) -> str:
        """Of what is sent, once."""
        return f"{self.record_id}-{self.number}-{step}"

    def tell_record(self, command: record.Command) -> Told:
        return Told(record.record.category, self.record_id, command)

    def tell_conversation(self, id: str, command: conversation.Command) -> tuple[Told, ...]:
        """Nothing where the platform has none (`id` is empty)."""
        return (Told(conversation.conversation.category, id, command),) if id else ()

    def opened(self, sent: Sent) -> tuple[Told, ...]:
        opened = conversation.Open(self.record_id, self.number, sent.external_id, sent.sender)
        return self.tell_conversation(sent.conversation, opened)

    def reminded(self, sent: Sent) -> tuple[Told, ...]:
        added = conversation.AddMessage(self.record_id, self.number, sent.external_id)
        return self.tell_conversation(sent.conversation, added)

    def closed(self, conversation_id: str) -> tuple[Told, ...]:
        return self.tell_conversation(conversation_id, conversation.CloseQuestion(self.record_id, self.number))


class Sent(msgspec.Struct, frozen=True):
    """What came of a question or a reminder. `conversation` is the id of ours, empty where there is none; `left` are
    the seconds until something is to be done."""

    external_id: str
    conversation: str
    sender: str
    left: float = 0.0


class Seen(msgspec.Struct, frozen=True):
    """How the record stands. `remind_in` and `left` are seconds until the reminder and until the deadline."""

    status: Literal["waiting", "paused", "over"]
    remind_in: float = 0.0
    left: float = 0.0


def follow_up_of(state: saga.Running) -> FollowUp:
    return msgspec.json.decode(state.input, type=FollowUp)


def as_detail(found: Sent | Seen) -> str:
    return msgspec.json.encode(found).decode()


def sent_of(detail: str) -> Sent:
    """Raises msgspec.DecodeError for a detail that is no such thing."""
    return msgspec.json.decode(detail, type=Sent)


def seen_of(detail: str) -> Seen:
    """Raises msgspec.DecodeError likewise."""
    return msgspec.json.decode(detail, type=Seen)


def asked(state: saga.Running) -> Sent | None:
    """The question, once it is known to be sent."""
    kept = next((each for each in state.effects if each.step == "ask" and each.status == "kept"), None)
    return sent_of(kept.result) if kept is not None else None


def open_effect(state: saga.Running) -> saga.Effect | None:
    return next((each for each in state.effects if each.status in saga.OPEN), None)


def clipped(reason: str) -> str:
    """As long as a reason may be."""
    return reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 1]}…"
