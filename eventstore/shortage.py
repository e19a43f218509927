"""What is left of a batch that the server broke off for want of room.

nats-server 2.14 looks for room message by message, also while it stores an atomic batch: at its limit
(`max_file_store`) the first messages of a batch may be stored and the others not. The embedded server therefore has
no such limit (`sagacity up` watches the disk itself); for others, what is stored in part is completed here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from eventstore.publisher import Message, Publisher
from eventstore.reader import Reader

log = logging.getLogger(__name__)

_PATIENCE: Final = 5.0
_PAUSE: Final = 0.5


async def missing_of(reader: Reader, writes: Sequence[Sequence[Message]]) -> list[list[Message]]:
    """For each write the messages that the log does not hold. Raises LogUnavailable."""
    found = await reader.holders([message.subject for write in writes for message in write])
    held = {(subject, raw) for subject, (_, raw) in found.items()}
    return [[message for message in write if tuple(message) not in held] for write in writes]


async def complete(publisher: Publisher, missing: Sequence[Message], goes_on: Callable[[], bool]) -> bool:
    """Store what is missing of a write, one by one, however long the server has no room; whether it is whole now."""
    for message in missing:
        log.error("the log has no room left: %s is missing from its write, and follows when there is", message.subject)
        while goes_on():
            ack = await publisher.publish([message], _PATIENCE)
            if ack is not None and ack.stored:
                break
            await asyncio.sleep(_PAUSE)
        else:
            return False
    return True
