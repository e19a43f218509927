"""What of all that happens sets a rule off: events of our own, and those of other systems.

An event is known to a rule by a few words before anything else of it is read. Events of rules and the records of
commands set nothing off: they would do so for ever.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

OWN: Final = "/sagacity"
"""The source of our own events."""

FOREIGN: Final = "inbound"
"""The category in which the log keeps events of other systems."""

DUMB: Final = frozenset({"automation", "command"})
"""Categories whose events set nothing off."""

MOST_HOPS: Final = 8
"""So many rules may set each other off in a row."""

_HOPS: Final = re.compile(r"~([0-9]{1,4})((?:\.[0-9a-f]{8})*)$")

Category = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
Pattern = Annotated[str, Meta(min_length=1, max_length=200)]
"""`*` stands for anything, also for nothing and for dots."""

Expression = Annotated[str, Meta(max_length=2_000)]


class StateOf(Struct, frozen=True, forbid_unknown_fields=True):
    """The state of an aggregate as it is when the event is looked at; `id` is a template over the event."""

    category: Category
    id: Annotated[str, Meta(min_length=1, max_length=500)]


class EventTrigger(Struct, frozen=True, forbid_unknown_fields=True, tag="event"):
    """Events whose type is like one of `types`, and whose `source` and `category` are these (None: any), if `where`
    holds: a JMESPath expression over `event` and `state`. That of our own events is `/sagacity`; those of other systems
    are in the category `inbound`. From when the rule is registered, each once, in the order of the log."""

    types: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=50)]
    source: Pattern | None = None
    category: Category | None = None
    where: Expression = ""
    state: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,39}$")], StateOf], Meta(max_length=10)
    ] = {}


class Sighting(NamedTuple):
    """As much of an event as tells whom it concerns. Of one of another system (`foreign`): its own type and source."""

    type: str
    source: str
    category: str
    foreign: bool = False


def is_meant(trigger: EventTrigger, seen: Sighting) -> bool:
    """Nobody else passes for us."""
    if seen.category in DUMB or trigger.category not in (None, seen.category):
        return False
    if trigger.source is not None:
        disguised = seen.foreign and seen.source == OWN
        if disguised or not is_like(seen.source, trigger.source):
            return False
    return any(is_like(seen.type, pattern) for pattern in trigger.types)


def is_like(text: str, pattern: str) -> bool:
    """In a time that grows with both, whatever the pattern: people give them."""
    first, *others = pattern.split("*")
    if not others:
        return text == pattern
    *between, last = others
    at = len(first)
    if not text.startswith(first) or not text.endswith(last) or len(text) < at + len(last):
        return False
    end = len(text) - len(last)
    for part in between:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def actor_of(automation_id: str) -> str:
    """As whom a rule acts."""
    return f"automation:{automation_id}"


class Origin(NamedTuple):
    """The conversation in which something happened, and how many rules in a row had led to it, each of `rules` by a
    digest of its id: marks of earlier versions of Sagacity have none."""

    correlation: str
    hops: int
    rules: tuple[str, ...] = ()

    def further(self, automation_id: str) -> str:
        """The correlation of what one more rule does: whatever comes of it carries it on."""
        return f"{self.correlation}~{self.hops + 1}" + "".join(
            f".{each}" for each in (*self.rules, _mark(automation_id))
        )

    def holds(self, automation_id: str) -> bool:
        """Whether this rule is among those that had led to it."""
        return _mark(automation_id) in self.rules


def origin_of(correlation: str) -> Origin:
    found = _HOPS.search(correlation)
    if found is None:
        return Origin(correlation, 0)
    return Origin(correlation[: found.start()], int(found[1]), tuple(found[2].split(".")[1:]))


def _mark(automation_id: str) -> str:
    """Ids may have 128 characters, and a conversation eight of them."""
    return hashlib.sha256(automation_id.encode()).hexdigest()[:8]
