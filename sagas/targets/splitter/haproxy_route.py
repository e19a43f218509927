"""How HAProxy is told a route. The maps are explained in haproxy.cfg."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from sagas.targets.splitter.port import Arm, Route

SLOTS: Final = range(1, 101)
"""Numbers of HAProxy's servers; one holds an arm until it is needed for another."""

SPLIT: Final = "split.map"
_CONFIGURATION: Final = Path(__file__).with_name("haproxy.cfg")

_TOTAL: Final = 10**12
_STRIDE: Final = _TOTAL + 1
_HIGHEST_TOTAL: Final = 2**31
"""So that the product of a total and a 32 bit hash or counter fits in HAProxy's integers."""

_GOLDEN: Final = (math.sqrt(5) - 1) / 2


def assign(held: Mapping[str, int], arms: Collection[Arm], idle: Collection[int]) -> dict[str, int]:
    """Slots by key, with a slot for every arm; keys that were routed longest ago stand first.

    Arms that left keep theirs, so that what they still have in flight is counted as theirs, until none of the slots
    is unused: then those in `idle` are taken. Raises OSError when that is not enough.
    """
    slots = dict(held)
    for arm in arms:
        slot = slots.pop(arm.key, None)
        slots[arm.key] = _free(slots, {arm.key for arm in arms}, idle) if slot is None else slot
    return slots


def _free(slots: dict[str, int], routed: Collection[str], idle: Collection[int]) -> int:
    for slot in SLOTS:
        if slot not in slots.values():
            return slot
    for key, slot in slots.items():
        if key not in routed and slot in idle:
            del slots[key]
            return slot
    raise OSError(f"HAProxy has {len(SLOTS)} slots for arms, and requests are in flight in all of them")


def takers(route: Route, slots: Mapping[str, int]) -> set[int]:
    """The slots that get new requests."""
    return {slots[arm.key] for arm in route.arms if arm.weight > 0}


def maps(route: Route, slots: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """Entries (`key value`) by map. Raises OSError for weights that are too high to be exact."""
    return {
        SPLIT: _tickets(route, slots),
        "sticky.map": _pattern(route.sticky_header),
        "incident.map": _pattern(route.incident_header),
    }


def files(route: Route, slots: Mapping[str, int]) -> dict[str, str]:
    """With which HAProxy has the route from its first request on, by name."""
    ports = {slots[arm.key]: arm.port for arm in route.arms}
    taking = takers(route, slots)
    servers = "".join(
        f"    server s{slot} 127.0.0.1:{ports.get(slot, 1)}{'' if slot in taking else ' disabled'}\n" for slot in SLOTS
    )
    return {
        "haproxy.cfg": _CONFIGURATION.read_text() + servers,
        **{name: "".join(f"{entry}\n" for entry in entries) for name, entries in maps(route, slots).items()},
    }


def _tickets(route: Route, slots: Mapping[str, int]) -> tuple[str, ...]:
    arms = [arm for arm in route.arms if arm.weight > 0]
    if not arms:
        return ()
    divisor = math.gcd(*(arm.weight for arm in arms))
    lines: list[str] = []
    total = 0
    for arm in arms:
        lines.append(f"{total}:{total + arm.weight // divisor - 1} {slots[arm.key]}")
        total += arm.weight // divisor
    if total >= _HIGHEST_TOTAL:
        raise OSError(f"the weights add up to {total}; HAProxy splits exactly up to {_HIGHEST_TOTAL - 1}")
    return (*lines, f"{_TOTAL} {total}", f"{_STRIDE} {stride(total)}")


def stride(total: int) -> int:
    """Without a common divisor with the total: so many requests in a row get each ticket once.

    Near the golden section of the total, which spreads neighbouring tickets as evenly as can be (Knuth, The Art of
    Computer Programming, volume 3, 6.4, theorem S).
    """
    step = max(1, round(total * _GOLDEN))
    while math.gcd(step, total) != 1:
        step += 1
    return step


def _pattern(header: str | None) -> tuple[str, ...]:
    """The value of the first such header that has one; HAProxy has names in small letters."""
    if header is None:
        return ()
    name = "".join(letter if letter.isalnum() else f"\\x{ord(letter):02x}" for letter in header.lower())
    return (f"(?:^|\\n){name}:[\\x20\\t]*([^\\r\\n\\x20\\t][^\\r\\n]*) \\1",)
