"""A message on its way onto the record: what it repeats, and which question it answers, decided in one write.

Who said exactly this first is known by the hash of what was said, whoever said it and wherever: a second record of the
same content is a duplicate. Short answers are no content.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from domain import conversation, fingerprint, record, record_schema, source
from domain.decider import Refusal
from domain.message import Message, record_id
from domain.record import Answers
from handlers.parts import Load, Part

_SAYS_SOMETHING: Final = 20
"""Characters from which a text without attachments can be a duplicate."""


async def received(id: str, command: record.Receive, load: Load) -> list[Part] | Refusal:
    """With the record's claim on what it says, unless it answers a question."""
    message = command.message
    refusal = _misplaced(id, message) or await _not_taken(message, load)
    if refusal is not None:
        return refusal
    answers = await _answers(message, load)
    said = None if answers is not None else fingerprint_of(message)
    first = await load(fingerprint.fingerprint, said) if said is not None else fingerprint.Unknown()
    duplicate_of = first.record_id if isinstance(first, fingerprint.Known) and first.record_id != id else None
    taken = record.Take(message, command.raw, command.original, command.original_type, said, duplicate_of, answers)
    parts = [Part(record.record, id, taken)]
    return parts if said is None else [*parts, Part(fingerprint.fingerprint, said, fingerprint.Claim(id))]


def _misplaced(id: str, message: Message) -> Refusal | None:
    wanted = record_id(message)
    return None if id == wanted else Refusal("record_id_not_derived", f"the record of this message is called {wanted}")


async def _not_taken(message: Message, load: Load) -> Refusal | None:
    known = await load(source.source, message.source)
    if isinstance(known, source.Unknown):
        return Refusal("source_not_found", f"there is no source {message.source}")
    if known.closed:
        return Refusal("source_closed", f"the source {message.source} is closed")
    if known.configuration.platform != message.platform:
        return Refusal("wrong_platform", f"the source {message.source} is one of {known.configuration.platform}")
    return None


async def _answers(message: Message, load: Load) -> Answers | None:
    if not message.conversation or "automatic" in message.metadata:  # out of office, bounced
        return None
    said = await load(conversation.conversation, conversation.id_of(message.source, message.conversation))
    return conversation.match(said, message.reply_to, message.sender.id)


def fingerprint_of(message: Message) -> str | None:
    """Of what is said, not of who says it when; None for what says too little to be told apart."""
    contents = sorted(attachment.content for attachment in message.attachments if attachment.content is not None)
    text = " ".join(message.text.split()).casefold()
    if not contents and not message.data and len(text) < _SAYS_SOMETHING:
        return None
    if len(contents) < len(message.attachments):
        return None  # not all of it is known yet
    return hashlib.sha256(msgspec.json.encode([text, message.data, contents], order="deterministic")).hexdigest()


async def unknown_fields(id: str, command: record.Correct | record.Answer, load: Load) -> Refusal | None:
    """Every path that the schema of the record does not have; a record that was never scored has none yet."""
    known = await load(record.record, id)
    assessment = known.assessment if isinstance(known, record.Known) else None
    if assessment is None or not assessment.schema_version:
        return None
    held_to = await load(record_schema.record_schema, assessment.schema_name)
    if not isinstance(held_to, record_schema.Known):
        return None
    paths = [field.path for field in held_to.versions[assessment.schema_version].fields]
    given = (command.path,) if isinstance(command, record.Correct) else (*command.values, *command.refused)
    unknown = [path for path in given if path not in paths]
    if not unknown:
        return None
    return Refusal("field_unknown", f"there is no field {', '.join(unknown)}; known: {', '.join(paths)}")
