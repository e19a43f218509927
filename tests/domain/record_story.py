"""Parts of the story of a record, for whoever tells it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from domain import record
from domain.message import Message, Sender
from domain.record import Analysis, Answers, Assessment, Chase, Enrichment, Question, Reading
from domain.source import Calendar, FollowUpPolicy

SENT_AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DEADLINE = datetime(2026, 3, 5, 9, 0, tzinfo=UTC)
CHASE = Chase(FollowUpPolicy(rounds=2), Calendar(), "en")


def message(external_id: str = "m-1", text: str = "Invoice 7 of March, to be paid by the end of it") -> Message:
    return Message("email", "office", external_id, Sender("ann@example.org", "Ann"), SENT_AT, "thread-1", text)


def take(answers: Answers | None = None) -> record.Take:
    return record.Take(message(), None, None, "application/json", "f" * 64, None, answers)


def analysis(**values: str) -> Analysis:
    readings = {path: Reading(value, "text") for path, value in values.items()}
    return Analysis("financial", 0.9, {"medical": 0.1}, "builtin-1", 1, readings)


def assessment(*gaps: str) -> Assessment:
    missing = tuple(gaps)
    share = 1 - len(gaps) / 4
    return Assessment("financial", 1, share, share, 1.0, missing, (), (), (), missing, ())


def question(gaps: Sequence[str], number: int = 1) -> record.ReportAsked:
    asked = Question("en", "What is the total?", tuple(gaps))
    return record.ReportAsked(number, asked, "email", f"q-{number}", SENT_AT, DEADLINE)


ENRICH = record.Enrich(Enrichment(language="en", language_confidence=0.99))
ANALYSE = record.Analyse(analysis(number="7"))


def score(state: record.State, *gaps: str, chase: Chase | None = CHASE) -> record.Score:
    """On the record as it is."""
    assert isinstance(state, record.Known)
    return record.Score(assessment(*gaps), {"number": "7"}, chase, state.version)
