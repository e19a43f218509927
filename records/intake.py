"""From what came through a channel to a command on the record: contents stored by their hash, limits kept.

A message delivered twice has one record: its id is made of its source and of what the source calls the message.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import structs

from domain import record
from domain.message import Attachment, record_id
from domain.record import LONGEST_RAW
from domain.source import Configuration, Limits
from eventstore.blobs import Blobs
from records.channels.form import Incoming, refusal


class Kept(NamedTuple):
    """The command that puts a message on the record. Both ids are the same whenever the message comes."""

    record_id: str
    command_id: str
    command: record.Receive


async def keep(blobs: Blobs, configuration: Configuration, incoming: Incoming) -> Kept:
    """Store what came along. Raises LogUnavailable: then nothing is on the record, and the sender may try again."""
    attachments = [
        await _kept(blobs, configuration.limits, attachment, incoming.contents.get(place))
        for place, attachment in enumerate(incoming.message.attachments)
    ]
    message = structs.replace(incoming.message, attachments=tuple(attachments))
    raw = _as_text(incoming.original)
    original = None if raw is not None else await blobs.put(incoming.original)
    command = record.Receive(message, raw, original, incoming.original_type)
    id = record_id(message)
    return Kept(id, f"receive-{id}", command)


async def _kept(blobs: Blobs, limits: Limits, attachment: Attachment, content: bytes | None) -> Attachment:
    """An attachment that is not taken keeps its place, with the reason."""
    known = attachment if content is None else structs.replace(attachment, size=len(content))
    refused = refusal(limits, known)
    if refused is not None:
        return structs.replace(known, refused=refused)
    return known if content is None else structs.replace(known, content=await blobs.put(content))


def _as_text(original: bytes) -> str | None:
    """Only if it is the same, byte for byte, when it is written down again."""
    if len(original) > LONGEST_RAW:
        return None
    try:
        text = original.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
