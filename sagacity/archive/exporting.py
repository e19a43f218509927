"""From the log to a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from eventstore.envelope import recorded
from eventstore.errors import HistoryBroken
from eventstore.reader import Raw
from eventstore.store import EventStore
from sagacity.archive.lines import encode_line

_PAGE: Final = 2_000


class Selection(NamedTuple):
    """Which events: above a position, up to a position or moment (included), of one category."""

    after: int = 0
    until: int | datetime | None = None
    category: str | None = None

    def takes(self, position: int, raw: bytes) -> bool:
        """An event that is no document cannot be left out by what it says."""
        if self.category is None and not isinstance(self.until, datetime):
            return True
        try:
            event = recorded(position, raw)
        except HistoryBroken:
            return True
        in_time = not isinstance(self.until, datetime) or event.time <= self.until
        return in_time and self.category in (None, event.stream.category)


EVERYTHING: Final = Selection()


class Exported(NamedTuple):
    """`position` is how far the log was read; `missing` counts positions that the log does not have."""

    events: int
    position: int
    missing: int


async def export(
    store: EventStore,
    write: Callable[[bytes], object],
    selection: Selection = EVERYTHING,
    on_progress: Callable[[int, int], None] = lambda position, last: None,
) -> Exported:
    """Write the log as it is now, a page of lines at a time. Raises LogUnavailable, and what `write` raises."""
    last = (await store.state()).last
    if isinstance(selection.until, int):
        last = min(last, selection.until)
    events, missing, position = 0, 0, selection.after
    async for page in pages(store, selection.after, last):
        missing += page[-1][0] - position - len(page)
        position = page[-1][0]
        lines = [encode_line(*event) for event in page if selection.takes(*event)]
        events += len(lines)
        write(b"".join(lines))
        on_progress(position, last)
    return Exported(events, max(position, last), missing + max(0, last - position))


async def pages(store: EventStore, after: int, last: int) -> AsyncIterator[Sequence[Raw]]:
    """The events above one position up to another, across gaps."""
    while after < last:
        page: Sequence[Raw] = await store.reader.page(after, min(_PAGE, last - after))
        if not page:
            found = await store.reader.next_above(after)
            if found is None:
                return
            page = [(found.position, found.raw)]  # it was a follower that answered, and it is behind
        page = [event for event in page if event[0] <= last]
        if not page:
            return
        yield page
        after = page[-1][0]
