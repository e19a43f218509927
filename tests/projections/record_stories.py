"""What happens to records, told to whatever has a `store` and a `handler`; and such histories made up at random."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from domain import record, source
from domain.flag import Flag
from domain.message import Attachment, Message, Sender, record_id
from domain.record import Analysis, Answers, Assessment, Chase, Enrichment, Question, Reading
from domain.source import Calendar, FollowUpPolicy
from eventstore.envelope import StreamId
from tests.projections import stories

SENT_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REMIND_AT = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
DEADLINE = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)
CHASE = Chase(FollowUpPolicy(rounds=2), Calendar(), "en")
DOUBTFUL = Flag("doubtful", "total", "two amounts")
FIELDS = ("number", "total", "due_date", "party")


def message(of: str, key: str, **changes: Any) -> Message:
    return Message("email", of, key, Sender("ann@example.org", "Ann"), SENT_AT, "thread-1", f"Invoice {key}", **changes)


def take(said: Message, **looked_up: Any) -> record.Take:
    plain = {"raw": None, "original": None, "original_type": "application/json", "fingerprint": None}
    return record.Take(said, **{**plain, "duplicate_of": None, "answers": None, **looked_up})


def analysed(domain: str = "financial", **values: Any) -> record.Analyse:
    readings = {path: Reading(value, "text") for path, value in values.items()}
    return record.Analyse(Analysis(domain, 0.9, {"medical": 0.1}, "builtin-1", 1, readings))


def assessment(gaps: Sequence[str], domain: str = "financial", flags: Sequence[Flag] = ()) -> Assessment:
    """Of four fields that weigh the same."""
    share, missing = 1 - len(gaps) / len(FIELDS), tuple(gaps)
    return Assessment(domain, 1, share, share, 1.0, missing, (), (), (), missing, tuple(flags))


async def state_of(core: Any, id: str) -> record.State:
    events = await core.store.load(StreamId("record", id), latest=True)
    return record.record.fold([core.store.decode(event) for event in events])


async def received(core: Any, of: str, key: str, **looked_up: Any) -> str:
    """The record's id."""
    said = message(of, key, **looked_up.pop("message", {}))
    await stories.tell(core, "record", record_id(said), take(said, **looked_up))
    return record_id(said)


async def score(core: Any, id: str, *gaps: str, chase: Chase | None = CHASE, **assessed: Any) -> None:
    known = await state_of(core, id)
    assert isinstance(known, record.Known)
    values: Mapping[str, Any] = {path: path for path in FIELDS if path not in gaps}
    scored = record.Score(assessment(gaps, **assessed), dict(values), chase, known.version)
    await stories.tell(core, "record", id, scored)


async def scored(core: Any, of: str, key: str, *gaps: str, domain: str = "financial", **more: Any) -> str:
    """From received to scored; the record's id."""
    id = await received(core, of, key)
    await stories.tell(core, "record", id, record.Enrich(Enrichment(language="en")), analysed(domain, number="7"))
    await score(core, id, *gaps, domain=domain, **more)
    return id


async def asked(core: Any, id: str, *gaps: str, number: int = 1, deadline: datetime = DEADLINE) -> None:
    question = Question("en", "What is the total?", gaps)
    report = record.ReportAsked(number, question, "email", f"q-{number}", REMIND_AT, deadline)
    await stories.tell(core, "record", id, report)


async def answered(core: Any, id: str, **values: Any) -> None:
    await stories.tell(core, "record", id, record.Answer(values))


async def a_source(core: Any, id: str) -> None:
    await stories.tell(core, "source", id, source.Register("email", "Office"))


def any_command(chance: random.Random, state: record.Known) -> record.Command:
    """Often one that makes sense now; what does not is refused, or changes nothing."""
    stages = {
        "enrich": record.Enrich(Enrichment(language="en", flags=(DOUBTFUL,), attachments=(Attachment("a.pdf"),))),
        "analyse": analysed(chance.choice(("financial", "medical", "answer")), number="7"),
        "score": _any_score(chance, state),
    }
    if state.next is not None and chance.random() < 0.6:
        if chance.random() < 0.15:
            instead = chance.choice(("", "as it came"))
            return record.FailStage(state.next, "it broke", chance.random() < 0.5, instead)
        return stages[state.next]
    number = state.follow_up.number if state.follow_up else 1
    number = chance.choice((number, number, number, number + 1))
    return chance.choice(_by_hand(chance, number) + _reports(number))


def _any_score(chance: random.Random, state: record.Known) -> record.Score:
    gaps = [path for path in FIELDS if chance.random() < 0.3]
    domain = state.analysis.domain if state.analysis else "other"
    flags = [DOUBTFUL] if chance.random() < 0.3 else []
    chase = None if chance.random() < 0.2 else CHASE
    return record.Score(assessment(gaps, domain, flags), {"number": "7"}, chase, state.version)


def _by_hand(chance: random.Random, number: int) -> list[record.Command]:
    stage: record.Stage | None = chance.choice((None, "enrich", "analyse", "score"))
    return [
        record.Retry(stage),
        record.Correct("total", chance.choice((None, 12.5)), "misread"),
        record.Answer({"total": 12.5}, ("party",), None, chance.choice((None, number))),
        record.Answer({"due_date": "2026-04-01"}, (), "office-1", number),
        record.StartFollowUp(),
        record.PauseFollowUp("holidays"),
        record.ResumeFollowUp(),
        *([record.Dismiss("an advertisement")] if chance.random() < 0.1 else []),
    ]


def _reports(number: int) -> list[record.Command]:
    asked = record.ReportAsked(number, Question("en", "?", ("total",)), "email", "q", REMIND_AT, DEADLINE)
    return [
        asked,
        asked,
        record.ReportReminded(number, "r"),
        record.ReportRescheduled(number, REMIND_AT, DEADLINE),
        record.ReportUnasked(number, "the mailbox is full"),
        record.Expire(number),
    ]


async def any_history(core: Any, of: str, key: str, chance: random.Random, steps: int) -> str:
    """The record's id."""
    links = chance.choice(({}, {"duplicate_of": f"{of}-1"}, {"answers": Answers(f"{of}-1", 1)}, {"original": "a" * 64}))
    id = await received(core, of, key, **links)
    for step in range(steps):
        state = await state_of(core, id)
        assert isinstance(state, record.Known)
        directive = stories.Directive(
            id=f"{id}-step-{step}", category="record", stream_id=id, command=any_command(chance, state)
        )
        await core.handler.direct([directive], stories.ME)
    return id
