"""The disk of the embedded log. Before it is full, the log takes no more: a server that finds no room in the middle
of an atomic batch may keep a part of it."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Final

from eventstore.store import EventStore

log = logging.getLogger(__name__)

RESERVE: Final = 64 * 1024 * 1024
"""Bytes; more than is written between two looks."""

_LOOK: Final = 0.5


async def watch_room(store: EventStore, home: Path, reserve: int = RESERVE) -> None:
    """Until cancelled: refuse writes while less than `reserve` bytes are free where the log is kept."""
    was_full = False
    while True:
        try:
            free = shutil.disk_usage(home).free
        except OSError as error:
            log.error("nobody knows how much room %s has: %s", home, error)
            await asyncio.sleep(_LOOK)
            continue
        full = free < reserve
        if full != was_full:
            log.error("the disk of %s has %d MB left", home, free // 1_000_000)
            was_full = full
        left = f"{free / 1_000_000:.0f} MB are left on the disk of the log, {reserve / 1_000_000:.0f} are its reserve"
        store.take_no_more(left if full else None)
        await asyncio.sleep(_LOOK)
