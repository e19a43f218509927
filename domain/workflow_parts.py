"""What of a decision must not be torn apart where it is too much for one write.

Whatever stops between two parts, what is on the record then is a state from which `advance`, and what was reported but
is not on the record, lead to the same end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.workflow import Chosen, Event, Failed, Parked, Requested


def parts(events: Sequence[Event], most: int) -> Sequence[Sequence[Event]]:
    """Of at most `most` events each, or what cannot be divided."""
    if 0 < len(events) <= most:
        return [events]
    found: list[list[Event]] = []
    for unit in units(events):
        if found and len(found[-1]) + len(unit) <= most:
            found[-1] += unit
        else:
            found.append(unit)
    return found


def units(events: Iterable[Event]) -> list[list[Event]]:
    """What is written together or not at all, in order."""
    found: list[list[Event]] = []
    for event in events:
        if found and _belongs(event, found[-1][-1]):
            found[-1].append(event)
        else:
            found.append([event])
    return found


def _belongs(event: Event, before: Event) -> bool:
    """A failure says nothing of what takes its place, a choice nothing of whom it has led to, and who was asked for in
    vain would be asked."""
    if isinstance(event, Failed) and isinstance(before, Requested):
        return event.call == before.call
    replaces = isinstance(event, Parked) or (isinstance(event, Requested) and event.instead_of is not None)
    return replaces or isinstance(before, Chosen)


__all__ = ["parts", "units"]
