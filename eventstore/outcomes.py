"""What became of writes whose acknowledgement is missing or says no: the log itself is asked, never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from eventstore.errors import LogUnavailable, WrongVersion
from eventstore.publisher import Message
from eventstore.reader import Raw, Reader

_ASK_LEADER: Final = 64
"""Subjects for which the leader is asked one by one; more writes than that are halved before."""


async def look_up(reader: Reader, writes: Sequence[Sequence[Message]]) -> list[int | WrongVersion | None]:
    """For each write the position of its last message, or who else was first, or None: nothing is known (yet).

    Whoever answers holds committed events only, so whatever is found is certain. What is not found at a follower
    may be there already: where nothing at all is found, the leader is asked.
    """
    subjects = [message.subject for write in writes for message in write]
    found = await _found(reader, subjects)
    if not found and len(subjects) <= _ASK_LEADER:
        found = await _found_by_leader(reader, subjects)
    return [_outcome(write, found) for write in writes]


async def _found(reader: Reader, subjects: Sequence[str]) -> Mapping[str, Raw]:
    try:
        return await reader.holders(subjects, timeout=2.0)
    except LogUnavailable:
        return {}


async def _found_by_leader(reader: Reader, subjects: Sequence[str]) -> Mapping[str, Raw]:
    answers = await asyncio.gather(*(reader.holder(subject) for subject in subjects), return_exceptions=True)
    return {s: answer for s, answer in zip(subjects, answers, strict=True) if isinstance(answer, tuple)}


def _outcome(write: Sequence[Message], found: Mapping[str, Raw]) -> int | WrongVersion | None:
    holders = [found.get(message.subject) for message in write]
    for message, holder in zip(write, holders, strict=True):
        if holder is not None and holder[1] != message.payload:
            return WrongVersion.of(message.subject)
    return holders[-1][0] if all(holders) and holders[-1] else None
