"""`sagacity replay`: the audit trail as a readable timeline, and the state it led to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import click
import msgspec

from domain import command as command_record
from domain.contexts import DECIDERS
from eventstore.envelope import Recorded, StreamId, recorded
from eventstore.store import EventStore
from eventstore.subjects import event_subject, is_valid_id
from sagacity.archive.exporting import Selection, pages
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace, log_options
from sagacity.cli.event_log import open_log, run
from sagacity.cli.output import Advance, console, json_option, print_json, progress
from sagacity.cli.parameters import CATEGORY, MOMENT
from sagacity.cli.timeline import Entry, arranged, entry_text, names_of

_AT_ONCE: Final = 1_000
_deciders = {decider.category: decider for decider in DECIDERS}


class Question(NamedTuple):
    """Whose history; exactly one of the first three is given."""

    stream: StreamId | None
    category: str | None
    correlation_id: str | None
    until: int | datetime | None


@click.command()
@click.argument("stream", required=False)
@click.option("--category", type=CATEGORY, help="All streams of a category.")
@click.option("--correlation-id", metavar="ID", help="Everything that belongs to one conversation.")
@click.option("--until", type=MOMENT, help="Only up to this position, or moment (RFC 3339).")
@click.option("--state", is_flag=True, help="Also the state of STREAM at that point.")
@json_option
@log_options
def replay(
    *,
    target: LogPlace,
    stream: str | None,
    category: str | None,
    correlation_id: str | None,
    until: int | datetime | None,
    state: bool,
    as_json: bool,
) -> None:
    """Tell what happened, who did it and why: of a STREAM (category/id), a category or a conversation.

    Example:

        sagacity replay deployment/shop-1-1 --until 2026-11-21T12:00:00Z --state
    """
    question = _question(stream, category, correlation_id, until, state)
    run(_replay(target, question, state, as_json))


def _question(
    stream: str | None, category: str | None, correlation_id: str | None, until: int | datetime | None, state: bool
) -> Question:
    """Raises UserError with every fault."""
    faults: list[str] = []
    if [stream, category, correlation_id].count(None) != 2:
        faults.append("name one of STREAM, --category and --correlation-id")
    stream_id = StreamId.parse(stream) if stream is not None else None
    if stream_id is not None and not (is_valid_id(stream_id.category) and is_valid_id(stream_id.id)):
        faults.append(f"{stream!r} is no stream (category/id, such as deployment/shop-1-1)")
    elif state and (stream_id is None or stream_id.category not in _deciders):
        faults.append(f"--state: needs a STREAM of {', '.join(_deciders)}")
    if faults:
        raise UserError("; ".join(faults))
    return Question(stream_id, category, correlation_id, until)


async def _replay(target: LogPlace, question: Question, with_state: bool, as_json: bool) -> None:
    async with open_log(target) as store:
        told: list[Recorded] = []
        async for events in _events(store, question):
            told += events if with_state else events[:1]
            if as_json and not with_state:
                _print_documents(events)
            elif not as_json:
                _print_timeline(arranged(events, await _causes(store, events)))
        if not told:
            raise UserError("there are no such events in the log")
        if with_state and question.stream is not None:
            _print_state(store, question.stream, told, as_json)


async def _events(store: EventStore, question: Question) -> AsyncIterator[Sequence[Recorded]]:
    if question.stream is not None:
        position, moment = _bounds(question.until)
        yield await store.load(question.stream, until_position=position, until_time=moment, latest=True)
    elif question.category is not None:
        async for page in _search(store, question):
            yield page
    else:
        with progress() as advance:
            yield [event async for page in _search(store, question, advance) for event in page]


def _bounds(until: int | datetime | None) -> tuple[int | None, datetime | None]:
    return (until, None) if isinstance(until, int) else (None, until)


async def _search(
    store: EventStore, question: Question, advance: Advance = lambda what, done, last: None
) -> AsyncIterator[Sequence[Recorded]]:
    """Reads the whole log: conversations are in no index of it."""
    selection = Selection(0, question.until, question.category)
    last = (await store.state()).last
    last = min(last, question.until) if isinstance(question.until, int) else last
    async for page in pages(store, 0, last):
        events = [recorded(*event) for event in page if selection.takes(*event)]
        advance("searching", page[-1][0], last)
        wanted = [event for event in events if question.correlation_id in (None, event.envelope.correlationid)]
        if wanted:
            yield wanted


async def _causes(store: EventStore, events: Sequence[Recorded]) -> list[Recorded]:
    """What these events name as their cause, as far as the log can find it by name."""
    shown = {name for event in events for name in names_of(event)}
    wanted = {event.envelope.causationid for event in events if event.envelope.causationid} - shown
    subjects = sorted({subject for cause in wanted if (subject := _subject(store, cause))})
    found: list[Recorded] = []
    for start in range(0, len(subjects), _AT_ONCE):
        holders = await store.reader.holders(subjects[start : start + _AT_ONCE])
        found += [recorded(*holder) for holder in holders.values()]
    return found


def _subject(store: EventStore, cause: str) -> str | None:
    """Where an event stands that is named by its command (`<id>`) or its place (`category/id/version`)."""
    if is_valid_id(cause):
        return event_subject(store.location, StreamId(command_record.CATEGORY, cause), 1)
    place, _, version = cause.rpartition("/")
    try:
        return event_subject(store.location, StreamId.parse(place), int(version))
    except ValueError:
        return None


def _print_documents(events: Sequence[Recorded]) -> None:
    for event in events:
        click.echo(msgspec.json.encode({"position": event.position, "event": msgspec.Raw(event.raw)}))


def _print_timeline(entries: Sequence[Entry]) -> None:
    out = console()
    for entry in entries:
        out.print(entry_text(entry))


def _print_state(store: EventStore, stream: StreamId, events: Sequence[Recorded], as_json: bool) -> None:
    state: Any = _deciders[stream.category].fold([store.decode(event) for event in events])
    if as_json:
        print_json({"stream": str(stream), "version": events[-1].version, "state": state})
    else:
        click.echo(f"\n{stream} at version {events[-1].version}:")
        print_json(state)
