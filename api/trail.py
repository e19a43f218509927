"""Reading the log page by page, for the audit trail."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from api.live import EventFilter
from eventstore.envelope import Recorded
from eventstore.errors import HistoryBroken, LogUnavailable
from eventstore.store import EventStore
from eventstore.streams import ask, error_code
from eventstore.subjects import category_filter

_SCAN: Final = 50_000
"""Events looked at for one page; a filter that matches little gives its page a `next` link to go on from there."""

_PAGE: Final = 100
_NOTHING: Final = 404


async def page_above(store: EventStore, position: int, limit: int, category: str | None) -> list[Recorded]:
    """Events of the log, or of one category, above a position; empty only where it ends. Raises LogUnavailable.

    A page comes from any node of a cluster, and one that is behind has nothing where others have: then it is the
    leader who says whether, and with what, it goes on.
    """
    page = await store.read(position, limit, category=category)
    if page:
        return page
    event = await _leaders_next(store, position, category)
    return [] if event is None else [event]


async def _leaders_next(store: EventStore, position: int, category: str | None) -> Recorded | None:
    wanted = category_filter(store.location, category) if category else f"{store.location.prefix}.>"
    request = {"seq": position + 1, "next_by_subj": wanted}
    answer = await ask(store.connection, f"STREAM.MSG.GET.{store.location.stream}", request)
    if not error_code(answer):
        return await store.reader.at(answer["message"]["seq"])
    if answer["error"].get("code") == _NOTHING:
        return None
    raise LogUnavailable(answer["error"]["description"])


async def scan(
    store: EventStore, after: int, until: int | None, chosen: EventFilter, limit: int
) -> tuple[list[Recorded], int, bool]:
    """(matching events, where the look ended, whether there may be more)."""
    found: list[Recorded] = []
    position, looked = after, 0
    while looked < _SCAN and (until is None or position < until):
        page = await page_above(store, position, min(1_000, max(limit, 100)), _only_category(chosen))
        for event in page:
            if until is not None and event.position > until:
                return found, position, False
            position = event.position
            looked += 1
            if chosen.matches(event):
                found.append(event)
                if len(found) == limit:
                    return found, position, True
        if not page:
            return found, position, False
    return found, position, looked >= _SCAN


async def pages(
    store: EventStore, start: int, end: int, chosen: EventFilter, limit: int | None
) -> AsyncGenerator[list[Recorded]]:
    """Matching events above `start` up to `end`, a page of the log at a time, so that memory does not grow with it.

    Raises HistoryBroken when the log ends before `end`, which it had reached: what ends without an error is whole.
    """
    position, left, category = start, limit, _only_category(chosen)
    while position < end and (left is None or left > 0):
        page = await page_above(store, position, _PAGE, category)
        if not page:
            if category is None:
                raise HistoryBroken(f"the log ends at {position}; it had come to {end}")
            return
        position = page[-1].position
        events = [event for event in page if event.position <= end and chosen.matches(event)][:left]
        left = None if left is None else left - len(events)
        if events:
            yield events


def _only_category(chosen: EventFilter) -> str | None:
    """The log can be read one category at a time, without the rest."""
    return chosen.category if chosen.category and "," not in chosen.category else None
