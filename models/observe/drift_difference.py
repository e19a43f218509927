"""Whether a record follows from what was observed: the first thing that comes out otherwise, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from msgspec import to_builtins

from domain import monitor

_LONGEST: Final = 200
"""Characters of a value."""


def difference(recorded: Sequence[monitor.Event], replayed: Sequence[monitor.Event]) -> str | None:
    """By event and field."""
    old, new = _names(recorded), _names(replayed)
    if old != new:
        return f"recorded {old}, now {new}"
    for then, now in zip(recorded, replayed, strict=True):
        if then != now:
            return f"{then.__struct_config__.tag}: {_where(to_builtins(then), to_builtins(now), '')}"
    return None


def _names(events: Sequence[monitor.Event]) -> str:
    return ", ".join(str(event.__struct_config__.tag) for event in events)


def _where(recorded: Any, replayed: Any, path: str) -> str:
    """Of two documents that are not equal."""
    match recorded, replayed:
        case dict(), dict():
            old, new = cast(dict[str, Any], recorded), cast(dict[str, Any], replayed)
            name = next(name for name in {**old, **new} if old.get(name) != new.get(name))
            return _where(old.get(name), new.get(name), f"{path}.{name}")
        case _:
            return f"{path.lstrip('.')}: recorded {_short(recorded)}, now {_short(replayed)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
