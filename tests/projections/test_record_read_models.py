"""What the read models say of records, questions, quality, sources and schemas, on a real log and a real database."""

from __future__ import annotations

import random
from typing import get_args

import pytest
import pytest_asyncio

from domain import dataset, record, record_schema, source
from domain.flag import Flag
from domain.record import Answers, Known
from domain.schema import Field, Schema
from projections import quality_figures
from projections.read_models import READ_MODELS
from projections.records import Status
from tests.projections import record_stories, stories
from tests.projections.platform import equals_the_fold, projecting
from tests.projections.record_stories import CHASE, DEADLINE, DOUBTFUL, asked, received, score, scored

TRACKED = "data_quality_tracking"
MODELS = tuple(m for m in READ_MODELS if m.name in ("records", TRACKED, "sources", "record_schemas"))


@pytest_asyncio.fixture
async def platform(own_nats, database_url):
    async with projecting(own_nats.url, database_url, MODELS) as platform, platform.running():
        platform.store = platform.core.store
        yield platform
        await platform.caught_up()
        await equals_the_fold(platform)


async def rows(platform, name, table=None, **filters):
    await platform.caught_up(name)
    return (await platform.models.rows(name, table=table, filters=filters, limit=500)).items


async def the(platform, id):
    await platform.caught_up("records")
    return await platform.models.row("records", id)


# --- records -------------------------------------------------------------------------------------------------------


async def test_a_record_goes_from_received_to_complete(platform):
    id = await received(platform, "office", "1", original="a" * 64)
    row = await the(platform, id)
    assert (row.status, row.score, row.processing_seconds, row.original) == ("received", None, None, "a" * 64)
    await stories.tell(platform, "record", id, record.Enrich(record.Enrichment(language="de", flags=(DOUBTFUL,))))
    row = await the(platform, id)
    assert (row.status, row.language, row.flags) == ("enriched", "de", [DOUBTFUL])
    await stories.tell(platform, "record", id, record_stories.analysed(number="7"))
    assert (await the(platform, id)).status == "analysed"
    await score(platform, id, "total", flags=[DOUBTFUL])
    row = await the(platform, id)
    assert (row.status, row.missing, row.completeness, row.follow_up_status) == (
        "chased",
        ["total"],
        0.75,
        "requested",
    )
    assert row.values == {"number": "number", "due_date": "due_date", "party": "party"}
    assert row.processing_seconds >= 0
    await asked(platform, id, "total")
    row = await the(platform, id)
    assert (row.follow_up, row.follow_up_status, row.follow_up_deadline) == (1, "waiting", DEADLINE)
    await record_stories.answered(platform, id, total=12.5)
    row = await the(platform, id)
    assert (row.follow_up_status, row.follow_up_deadline) == ("answered", None)
    await score(platform, id)
    row = await the(platform, id)
    assert (row.status, row.score, row.missing) == ("completed", 1.0, [])
    (question,) = await rows(platform, "records", "follow_ups", record_id=id)
    assert (question.status, question.values, question.late) == ("responded", {"total": 12.5}, False)


async def test_nobody_is_asked_any_more_when_the_last_round_was_answered_in_part(platform):
    id = await scored(platform, "office", "1", "total", "party")
    for number in (1, 2):
        await asked(platform, id, "total", "party", number=number)
        await record_stories.answered(platform, id, total=12.5)
        await score(platform, id, "party")
    row = await the(platform, id)
    assert (row.status, row.follow_up, row.follow_up_status, row.missing) == ("scored", 2, "answered", ["party"])


async def test_what_was_complete_and_is_corrected_is_complete_again(platform):
    id = await scored(platform, "office", "1")
    await stories.tell(platform, "record", id, record.Correct("total", 13.0, "misread"))
    await score(platform, id)
    assert (await the(platform, id)).status == "completed"
    await stories.tell(platform, "record", id, record.Correct("total", None, "not theirs"))
    await score(platform, id, "total", chase=None)
    assert (await the(platform, id)).status == "scored"


async def test_a_stage_that_ends_after_the_record_was_dismissed_does_not_bring_it_back(platform):
    id = await received(platform, "office", "1")
    dismissed = record.Dismiss("an advertisement"), record.Enrich(record.Enrichment()), record_stories.analysed()
    await stories.tell(platform, "record", id, *dismissed)
    await score(platform, id, "total")
    row = await the(platform, id)
    assert (row.status, row.score) == ("dismissed", 0.75)
    assert await rows(platform, TRACKED) == [], "nothing is tracked of it"


async def test_a_parked_record_says_why_and_goes_on_where_it_stopped(platform):
    id = await received(platform, "office", "1")
    failed = record.FailStage("analyse", "the provider does not answer", retryable=True)
    await stories.tell(platform, "record", id, record.Enrich(record.Enrichment()), failed)
    row = await the(platform, id)
    assert (row.status, row.parked_stage, row.retryable, row.failures) == ("parked", "analyse", True, 1)
    await stories.tell(platform, "record", id, record.Retry())
    row = await the(platform, id)
    assert (row.status, row.parked_stage, row.parked_reason, row.retryable) == ("enriched", None, None, None)


async def test_what_answers_another_record_is_an_answer(platform):
    first = await scored(platform, "office", "1", "total")
    id = await received(platform, "office", "2", answers=Answers(first, 1))
    analysed = record_stories.analysed("answer")
    await stories.tell(platform, "record", id, record.Enrich(record.Enrichment()), analysed)
    await score(platform, id, domain="answer")
    row = await the(platform, id)
    assert (row.status, row.answers) == ("answer", first)
    assert [each.id for each in await rows(platform, "records", answers=first)] == [id]


async def test_a_pause_has_no_deadline_and_an_end_gives_the_reason(platform):
    id = await scored(platform, "office", "1", "total")
    await asked(platform, id, "total")
    await stories.tell(platform, "record", id, record.PauseFollowUp("holidays"))
    (question,) = await rows(platform, "records", "follow_ups")
    assert (question.status, question.deadline, question.reason) == ("paused", None, "holidays")
    resumed = record.ResumeFollowUp(), record.ReportRescheduled(1, DEADLINE, DEADLINE)
    await stories.tell(platform, "record", id, *resumed)
    (question,) = await rows(platform, "records", "follow_ups")
    assert (question.status, question.deadline, question.reason) == ("sent", DEADLINE, None)
    await stories.tell(platform, "record", id, record.Expire(1), record.Answer({"total": 1.0}, number=1))
    (question,) = await rows(platform, "records", "follow_ups")
    assert (question.status, question.late, question.values, question.deadline) == ("timeout", True, {"total": 1}, None)
    assert (await the(platform, id)).follow_up_status == "expired", "a late answer does not change how it ended"


# --- whatever happens ----------------------------------------------------------------------------------------------


async def test_whatever_happens_the_tables_are_the_folds_and_say_what_the_records_say(platform):
    """Histories made up at random, of which each step is what a record took, or refused."""
    chance = random.Random(5)
    ids = [await record_stories.any_history(platform, "office", str(n), chance, 25) for n in range(20)]
    await platform.caught_up()
    await equals_the_fold(platform)
    seen = set()
    for id in ids:
        state, row = await record_stories.state_of(platform, id), await platform.models.row("records", id)
        says_what_it_says(state, row)
        tracked = await platform.models.row(TRACKED, f"record/{id}")
        assert (tracked is None) == state.dismissed
        if tracked is not None:
            follows_the_question(state, tracked.follow_up_deadline)
        seen.add(row.status)
    assert len(seen) >= 7, f"they are of many kinds: {seen} of {get_args(Status)}"
    events = [e for e in await platform.store.read(0, 100_000, category="record") if e.type == "record.scored"]
    told = await platform.pool.fetchval(f"SELECT count(*) FROM {TRACKED}.scorings")
    assert told == len(events) > 20


def says_what_it_says(state, row):
    assert isinstance(state, Known)
    assert row.version == state.version
    assert (row.status == "dismissed") == state.dismissed
    if not state.dismissed:
        assert (row.status == "parked") == (state.parked is not None)
    if state.assessment is not None:
        assert (row.score, row.missing) == (state.assessment.score, list(state.assessment.missing))
    done = state.next is None and state.parked is None and not state.dismissed and state.assessment is not None
    if done and not state.assessment.root_gaps:
        assert row.status in ("completed", "answer")
    assert row.follow_up == (state.follow_up.number if state.follow_up else None)
    assert row.follow_up_status == (state.follow_up.status if state.follow_up else None)
    follows_the_question(state, row.follow_up_deadline)


def follows_the_question(state, deadline):
    """A deadline stands only where somebody is waited for."""
    if deadline is not None:
        assert state.follow_up.status in ("waiting", "requested")
    elif state.follow_up is not None and state.follow_up.status == "waiting":
        assert state.follow_up.deadline is not None, "it was resumed, and is about to be rescheduled"


# --- quality -------------------------------------------------------------------------------------------------------


LEDGER = {
    "id": ("text", None),
    "entity_type": ("text", None),
    "entity_id": ("text", None),
    "completeness_score": ("double precision", 0.0),
    "missing_fields": ("jsonb", []),
    "quality_flags": ("jsonb", []),
    "last_updated": ("timestamptz", None),
    "follow_up_count": ("bigint", 0),
    "follow_up_deadline": ("timestamptz", None),
}
"""Column → its type, and what it holds before anything is known."""


async def test_quality_is_tracked_in_the_columns_that_were_asked_for(platform):
    """With indexes for the score, and for the deadlines that there are."""
    (table, _) = next(model for model in MODELS if model.name == TRACKED).tables
    assert {name: type for name, type in table.columns if name in LEDGER} == {n: t for n, (t, _) in LEDGER.items()}
    id = await received(platform, "office", "1")
    (row,) = await rows(platform, TRACKED)
    assert (row.id, row.entity_type, row.entity_id) == (f"record/{id}", "record", id)
    for name in ("completeness_score", "missing_fields", "quality_flags", "follow_up_count", "follow_up_deadline"):
        assert getattr(row, name) == LEDGER[name][1], name
    indexes = [
        record["indexdef"]
        for record in await platform.pool.fetch(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename = $1", TRACKED
        )
    ]
    assert any("(follow_up_deadline) WHERE (follow_up_deadline IS NOT NULL)" in each for each in indexes)
    assert any("(completeness_score, " in each for each in indexes)


async def test_records_and_datasets_are_tracked_together(platform):
    await stories.a_model(platform)
    id = await scored(platform, "office", "1", "total", "party", flags=[DOUBTFUL, Flag("late")])
    await asked(platform, id, "total", "party")
    mine, data = await rows(platform, TRACKED)
    assert (mine.completeness_score, mine.missing_fields) == (0.5, ["total", "party"])
    assert mine.quality_flags == ["doubtful:total", "late"]
    assert (mine.follow_up_count, mine.follow_up_deadline) == (1, DEADLINE)
    assert (data.entity_type, data.entity_id, data.completeness_score) == ("dataset", "churn-data", 0.97)
    assert [each.entity_id for each in await rows(platform, TRACKED, completeness_score_below="0.6")] == [id]
    await stories.tell(platform, "dataset", "churn-data", dataset.Discard("half of it is missing"))
    await stories.tell(platform, "record", id, record.Dismiss("an advertisement"))
    assert await rows(platform, TRACKED) == []


async def test_a_trend_counts_each_record_once_a_day_with_what_it_came_to(platform):
    id = await scored(platform, "office", "1", "total", "party")
    await stories.tell(platform, "record", id, record.Answer({"total": 1.0}))
    await score(platform, id, "party")
    await scored(platform, "desk", "2", domain="medical")
    await platform.caught_up()
    found = await quality_figures.trends(platform.pool, record_stories.SENT_AT, None, None, 10)
    told = [(each.source, each.domain, each.records, each.mean_completeness) for each in found]
    assert told == [("desk", "medical", 1, 1.0), ("office", "financial", 1, 0.75)]


async def test_quality_in_sum_leaves_out_what_was_dismissed_or_only_answers(platform):
    first = await scored(platform, "office", "1", "total", chase=CHASE, flags=[DOUBTFUL])
    await scored(platform, "office", "2")
    dismissed = await scored(platform, "desk", "3", *record_stories.FIELDS, flags=[Flag("late")])
    await stories.tell(platform, "record", dismissed, record.Dismiss("an advertisement"))
    answer = await received(platform, "office", "4", answers=Answers(first, 1))
    enriched = record.Enrich(record.Enrichment()), record_stories.analysed("answer")
    await stories.tell(platform, "record", answer, *enriched)
    await score(platform, answer, domain="answer")
    await platform.caught_up()
    found = await quality_figures.overview(platform.pool)
    assert found.records == 4
    assert found.status == {"chased": 1, "completed": 1, "dismissed": 1, "answer": 1}
    assert found.flags == {"doubtful": 1}
    (domain,) = found.domains
    assert (domain.name, domain.records, domain.complete, domain.mean_completeness) == ("financial", 2, 1, 0.875)
    assert [(each.path, each.records) for each in found.missing] == [("total", 1)]


# --- sources and schemas -------------------------------------------------------------------------------------------


async def test_a_source_is_open_until_it_is_closed(platform):
    await record_stories.a_source(platform, "office")
    await stories.tell(platform, "source", "office", source.Configure("email", "Front office", language="de"))
    (row,) = await rows(platform, "sources", status="open")
    assert (row.name, row.language, row.created_at < row.updated_at) == ("Front office", "de", True)
    await stories.tell(platform, "source", "office", source.Close("moved"))
    assert [each.id for each in await rows(platform, "sources", status="closed")] == ["office"]


@pytest.mark.parametrize("withdrawn", [False, True])
async def test_a_schema_tells_every_version_and_which_counts(platform, withdrawn):
    first, second = Schema("claims", (Field("number"),)), Schema("claims", (Field("number"), Field("damage", "amount")))
    publish = record_schema.Publish(first), record_schema.Publish(second)
    await stories.tell(platform, "record_schema", "claims", *publish)
    if withdrawn:
        await stories.tell(platform, "record_schema", "claims", record_schema.Withdraw(2, "asks too much"))
    (row,) = await rows(platform, "record_schemas")
    latest = first if withdrawn else second
    assert (row.schema_version, row.fields, row.withdrawn) == (
        1 + (not withdrawn),
        list(latest.fields),
        [2] * withdrawn,
    )
    assert row.schemas == {"1": first, "2": second}
    versions = await rows(platform, "record_schemas", "schema_versions", schema_id="claims")
    assert [(each.schema_version, each.schema) for each in versions] == [(2, second), (1, first)]
