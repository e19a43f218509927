"""What is printed of a record's events, a line each, in the markup of rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from rich.markup import escape

from domain import record
from sagacity.cli.output import percent

_TYPES: Final[dict[str, type[record.Event]]] = {
    str(each.__struct_config__.tag): each for each in get_args(record.Event)
}


def event_of(document: Mapping[str, Any]) -> record.Event | None:
    """A record's event as the API shows it; None: one of a later program."""
    found = _TYPES.get(document["type"])
    return None if found is None else msgspec.convert(document["data"], found)


_Talk = (
    record.FollowUpRequested
    | record.Asked
    | record.Reminded
    | record.FollowUpPaused
    | record.FollowUpResumed
    | record.Rescheduled
    | record.Answered
    | record.FollowUpEnded
)


def record_line(event: record.Event) -> str:
    """Empty for what another line says already."""
    if isinstance(event, _Talk):
        return escape(_talk_text(event))
    match event:
        case record.Parked(stage, reason):
            return f"[red]parked at {stage}: {escape(reason)}[/red]"
        case record.Completed(score):
            return f"[green]complete, with a score of {score:.2f}[/green]"
        case record.Expired(number, missing):
            return f"[red]question {number} was not answered in time; missing: {escape(', '.join(missing))}[/red]"
        case record.StageFailed(stage, reason, _, fallback):
            return escape(f"{stage} did not work: {reason}; instead: {fallback}") if fallback else ""
        case record.Persisted():
            return ""
        case record.Retried(stage):
            return f"goes on with {stage}"
        case record.Corrected(path, value):
            return escape(f"corrected by hand: {path} = {value}")
        case record.Dismissed(reason):
            return escape(f"dismissed: {reason}")
        case record.Received() | record.Enriched() | record.Analysed() | record.Scored():
            return escape(_stage_text(event))


def _stage_text(event: record.Received | record.Enriched | record.Analysed | record.Scored) -> str:
    match event:
        case record.Received(message, duplicate_of=duplicate):
            what = ", ".join(attachment.name for attachment in message.attachments) or "a message"
            return f"received: {what}{f'; says the same as {duplicate}' if duplicate else ''}"
        case record.Enriched(found):
            read = [f"{text.characters} characters of {text.origin} by {text.method}" for text in found.texts]
            language = [f"language {found.language}"] if found.language else []
            return f"read: {', '.join([*read, f'{len(found.entities)} entities', *language])}"
        case record.Analysed(found):
            values = sum(reading.value is not None for reading in found.readings.values())
            return f"analysed: {found.domain} ({percent(found.confidence)}), {values} fields found"
        case record.Scored(found):
            gaps = f"; missing: {', '.join(found.missing)}" if found.missing else ""
            wrong = f"; wrong: {', '.join(found.invalid)}" if found.invalid else ""
            return f"scored: {found.score:.2f}{gaps}{wrong}"


def _talk_text(event: _Talk) -> str:
    match event:
        case record.FollowUpRequested(number, gaps):
            return f"question {number} is to be asked: {', '.join(gaps)}"
        case record.Asked(number, question, channel, deadline=deadline):
            until = f"to be answered by {deadline:%Y-%m-%d %H:%M}"
            return f"question {number} went out by {channel}, {until}: {question.text}"
        case record.Reminded(number):
            return f"reminded of question {number}"
        case record.FollowUpPaused(number, reason):
            return f"question {number} waits{f': {reason}' if reason else ''}"
        case record.FollowUpResumed(number):
            return f"question {number} goes on"
        case record.Rescheduled(number, deadline=deadline):
            return f"question {number} is to be answered by {deadline:%Y-%m-%d %H:%M}"
        case record.Answered(_, values, refused, late=late):
            said = [f"{path} = {value}" for path, value in values.items()]
            return f"answered{' late' if late else ''}: {', '.join([*said, *(f'{path} refused' for path in refused)])}"
        case record.FollowUpEnded(number, reason):
            return f"question {number} is over: {reason}"
