"""The content of an attachment: from the store, or from the platform into the store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from os.path import splitext
from time import perf_counter
from typing import Final, NamedTuple

from msgspec import structs

from domain.flag import Flag
from domain.message import Attachment, Message
from domain.record import SkillRun
from eventstore.blobs import BlobMissing, Blobs, BlobTooLarge
from eventstore.errors import EventStoreError

Fetch = Callable[[Message, Attachment], Awaitable[bytes]]
"""From the platform that the message came through. It may raise anything: that is flagged."""

_PATIENCE: Final = 120.0
"""Seconds, for one attachment from a platform."""

_LONGEST_REASON: Final = 300


class Got(NamedTuple):
    """`content` is None where there is nothing to be read, and `flags` say why."""

    attachment: Attachment
    content: bytes | None
    flags: tuple[Flag, ...] = ()
    runs: tuple[SkillRun, ...] = ()


def labels(attachments: Sequence[Attachment]) -> tuple[str, ...]:
    """What each is called in the record: its name, made unique. `message` is the message's own text."""
    taken = {"message"}
    found: list[str] = []
    for attachment in attachments:
        name = attachment.name.replace("\0", "").strip() or "attachment"
        label, number = name, 2
        while label in taken:
            stem, ending = splitext(name)
            label, number = f"{stem} ({number}){ending}", number + 1
        taken.add(label)
        found.append(label)
    return tuple(found)


async def obtain(blobs: Blobs, fetch: Fetch | None, message: Message, attachment: Attachment, label: str) -> Got:
    """Raises LogUnavailable."""
    if attachment.refused is not None:
        return _nothing(attachment, label, f"it was not taken: {attachment.refused}")
    if attachment.content is not None:
        try:
            return Got(attachment, await blobs.get(attachment.content))
        except BlobMissing:
            return _nothing(attachment, label, "its content is not stored any more")
    if attachment.remote is None:
        return _nothing(attachment, label, "its content never came")
    if fetch is None:
        reason = "nothing here fetches attachments of this platform"
        run = SkillRun("fetch", message.platform, label, "unavailable", 0.0, reason)
        return Got(attachment, None, (Flag("unavailable", label, reason),), (run,))
    return await _fetched(blobs, fetch, message, attachment, label)


async def _fetched(blobs: Blobs, fetch: Fetch, message: Message, attachment: Attachment, label: str) -> Got:
    begun = perf_counter()
    try:
        async with asyncio.timeout(_PATIENCE):
            content = await fetch(message, attachment)
        stored = structs.replace(attachment, content=await blobs.put(content), size=len(content))
    except EventStoreError:
        raise
    except TimeoutError:
        reason = f"not fetched after {_PATIENCE:g} s"
    except BlobTooLarge as error:
        reason = f"too large: {error}"
    except Exception as error:  # of a platform, which fails in ways of its own: the rest of the message is read
        reason = f"not fetched: {error or type(error).__name__}"
    else:
        return Got(stored, content, (), (_run(message, label, "done", begun),))
    reason = " ".join(reason.split())[:_LONGEST_REASON]
    got = _nothing(attachment, label, reason)
    return got._replace(runs=(structs.replace(_run(message, label, "failed", begun), reason=reason),))


def _run(message: Message, label: str, outcome: str, begun: float) -> SkillRun:
    spent = round((perf_counter() - begun) * 1e3, 3)
    return SkillRun("fetch", message.platform, label, outcome, spent)  # pyright: ignore[reportArgumentType]


def _nothing(attachment: Attachment, label: str, reason: str) -> Got:
    return Got(attachment, None, (Flag("unreadable", label, reason[:_LONGEST_REASON]),))
