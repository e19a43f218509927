"""From a file into an empty log: the same events, byte for byte, at the same positions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from eventstore.committer import MAX_BATCH, Committer, Message
from eventstore.envelope import recorded
from eventstore.errors import EventStoreError, HistoryBroken
from eventstore.store import EventStore
from eventstore.streams import ask
from eventstore.subjects import event_subject
from eventstore.verification import Anchor, Progress, verify
from sagacity.archive.audit import Survey, survey_file
from sagacity.archive.exporting import pages
from sagacity.archive.lines import Line, read_lines

_BATCH_BYTES: Final = 8 * 1024 * 1024
_SHOWN: Final = 20

Report = Callable[[str, int, int], None]
"""What is being done, up to which position it is done, and where it will end (0: not known yet)."""


class NotImportable(Exception):
    """Nothing was written; carries every reason."""

    def __init__(self, reasons: list[str]) -> None:
        shown = reasons[:_SHOWN]
        more = [f"and {len(reasons) - _SHOWN} more"] if len(reasons) > _SHOWN else []
        super().__init__("; ".join([*shown, *more]))
        self.reasons = reasons


class Interrupted(Exception):
    """The log holds the file's events up to `position`; the import can go on from there."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"stopped after position {position}: {reason}")
        self.position = position


class Imported(NamedTuple):
    """`events` of the file, of which `written` were not there yet."""

    events: int
    written: int
    hash: str


async def import_events(
    store: EventStore, path: Path, *, go_on: bool = False, report: Report = lambda what, position, last: None
) -> Imported:
    """Restore an export into an empty log or, with `go_on`, into one that holds the beginning of it already.

    File and log are checked first, the log again afterwards. Raises NotImportable, Interrupted, LogUnavailable, and
    HistoryBroken when somebody else writes to the log meanwhile.
    """
    survey = survey_file(path, lambda position: report("checking", position, 0))
    there = (await store.state()).last
    reasons = [*survey.faults, *_oversize(store, survey), *await _readers_at_work(store)]
    if there and not go_on:
        reasons.append(
            f"the log is not empty: it holds {there} events (if an import of this file was interrupted: --continue)"
        )
    elif there > survey.last:
        reasons.append(f"the log holds more events ({there}) than {path} ({survey.last})")
    if reasons:
        raise NotImportable(reasons)
    await _compare(store, path, there, report)
    await _write(store, path, there, survey.last, report)
    await _verify(store, survey, report)
    return Imported(survey.events, survey.last - there, survey.hash)


def _oversize(store: EventStore, survey: Survey) -> Iterator[str]:
    limit = store.connection.max_payload - 1024
    if survey.largest > limit:
        yield f"an event has {survey.largest} bytes and this server takes at most {limit}: raise its max_payload"


async def _readers_at_work(store: EventStore) -> list[str]:
    """Whoever reacts to events would react to history half written."""
    answer = await ask(store.connection, f"CONSUMER.LIST.{store.location.stream}")
    consumers: list[dict[str, Any]] = answer.get("consumers") or []
    return [
        f"{consumer['name']!r} is reading this log and would react to old events: stop it for the import"
        for consumer in consumers
        if consumer["config"].get("durable_name") and consumer.get("num_waiting")
    ]


async def _compare(store: EventStore, path: Path, there: int, report: Report) -> None:
    """What the log holds must be the beginning of the file."""
    lines = read_lines(path)
    async for page in pages(store, 0, there):
        for (position, raw), line in zip(page, lines, strict=False):
            if (position, raw) != (line.position, line.raw):
                raise NotImportable([f"the log holds another history: position {position} is not that of {path}"])
        report("comparing", page[-1][0], there)


async def _write(store: EventStore, path: Path, after: int, end: int, report: Report) -> None:
    committer = await Committer(store.connection, store.location).open()
    stored = after
    try:
        for batch in _batches(line for line in read_lines(path) if line.position > after):
            last = await committer.commit([_message(store, line) for line in batch], timeout=60.0)
            if last != batch[-1].position:
                raise HistoryBroken(f"somebody else wrote to the log: position {last} should be {batch[-1].position}")
            stored = last
            report("writing", stored, end)
    except HistoryBroken:
        raise
    except EventStoreError as error:
        raise Interrupted(stored, str(error)) from error
    finally:
        await committer.close()


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """As many as the server takes in one atomic batch."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == MAX_BATCH or size + len(line.raw) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line.raw)
    if batch:
        yield batch


def _message(store: EventStore, line: Line) -> Message:
    event = recorded(line.position, line.raw)
    return Message(event_subject(store.location, event.stream, event.version), line.raw)


async def _verify(store: EventStore, survey: Survey, report: Report) -> None:
    anchors = [Anchor(survey.last, survey.hash)] if survey.events else []

    def on_progress(progress: Progress) -> None:
        report("verifying", progress.position, progress.last)

    result = await verify(store, anchors=anchors, on_progress=on_progress)
    if result.last != survey.last:
        raise HistoryBroken(f"the log ends at {result.last} and not at {survey.last}: somebody else wrote to it")
    lost = [fault.text for fault in result.faults if fault.kind != "data"]
    if lost:
        raise HistoryBroken(f"the log is not what was written: {'; '.join(lost[:_SHOWN])}")
