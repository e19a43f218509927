"""Events as a timeline for people: what happened, who did it and why, with the chain of causes as indentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from rich.text import Text

from domain import command
from eventstore.envelope import Recorded, recorded

_DEEPEST: Final = 12
_SUMMARY: Final = 100


class Entry(NamedTuple):
    """An event with its place in the chain of causes; `cause` is named where it stands outside of the timeline."""

    event: Recorded
    depth: int
    cause: str


def arranged(events: Sequence[Recorded], causes: Iterable[Recorded] = ()) -> list[Entry]:
    """In order of the log, but a command before what it did; a stream that goes on by itself stays at its depth.

    `causes` are known, and not shown by themselves.
    """
    shown = {name: event for event in events for name in names_of(event)}
    known = {name: event for event in causes for name in names_of(event)}
    depths: dict[int, int] = {}
    entries: list[Entry] = []
    for event in sorted(events, key=_moment):
        cause = shown.get(event.envelope.causationid or "")
        depth = depths.get(cause.position, 0) + (cause.stream != event.stream) if cause else 0
        depths[event.position] = depth
        entries.append(Entry(event, depth, "" if cause else _why(event, known)))
    return entries


def names_of(event: Recorded) -> tuple[str, ...]:
    """By which causation ids refer to an event: its id, its place in its stream, or its command's id."""
    names = (event.envelope.id, f"{event.stream}/{event.version}")
    return (*names, event.stream.id) if event.stream.category == command.CATEGORY else names


def _moment(event: Recorded) -> tuple[int, int]:
    """A command's record stands right behind its events in the log."""
    if event.stream.category != command.CATEGORY:
        return event.position, 1
    caused = _data(event).get("events")
    return event.position - (len(caused) if isinstance(caused, list) else 0), 0  # pyright: ignore[reportUnknownArgumentType]


def _why(event: Recorded, known: Mapping[str, Recorded]) -> str:
    cause = known.get(event.envelope.causationid or "")
    if cause is None:
        return ""
    if cause.stream.category == command.CATEGORY:
        return str(_data(cause).get("command"))
    return f"{cause.type} of {cause.stream}"


def event_line(position: int, document: bytes) -> Text:
    """One event by itself."""
    return entry_text(Entry(recorded(position, document), 0, ""))


def entry_text(entry: Entry) -> Text:
    """One line."""
    event = entry.event
    line = Text(no_wrap=True)
    line.append(f"{event.position:>7}  ", "cyan")
    line.append(f"{event.time:%Y-%m-%d %H:%M:%S}.{event.time.microsecond // 1000:03}  ", "dim")
    line.append("  " * min(entry.depth, _DEEPEST))
    line.append_text(_what(event))
    line.append(_plain(f"  by {event.envelope.actor}"), "dim")
    if entry.cause:
        line.append(_plain(f"  ← {entry.cause}"), "dim")
    return line


def _what(event: Recorded) -> Text:
    data = _data(event)
    if event.stream.category == command.CATEGORY:
        return _command(event, data)
    line = Text.assemble((_plain(event.type), _colour(event.type)), _plain(f"  {event.stream} v{event.version}"))
    summary = _summary(data)
    return line.append(_plain(f"  {summary}")) if summary else line


def _command(event: Recorded, data: Mapping[str, Any]) -> Text:
    line = Text.assemble((_plain(f"→ {data.get('command')}"), "bold"), _plain(f"  {data.get('stream')}"))
    if "refusal" in data:
        line.append(_plain(f"  refused: {data['refusal']}: {data.get('reason')}"), "red")
    return line


def _summary(data: Mapping[str, Any]) -> str:
    """What fits a line: plain values, shortest names first told by the event itself."""
    words = [f"{name}={value}" for name, value in data.items() if isinstance(value, str | int | float) and value != ""]
    text = " ".join(" ".join(words).split())
    return text if len(text) <= _SUMMARY else text[: _SUMMARY - 1] + "…"


def _plain(text: str) -> str:
    """What events say goes to a terminal: without line breaks and control characters."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _colour(type: str) -> str:
    word = type.rpartition(".")[2]
    if any(part in word for part in ("failed", "rolled", "refused", "paused", "unhealthy")):
        return "bold red"
    return "bold green" if word in ("completed", "compensated") else "bold"


def _data(event: Recorded) -> dict[str, Any]:
    data = msgspec.json.decode(event.envelope.data)
    return {name: value for name, value in data.items() if name != "type"} if isinstance(data, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
