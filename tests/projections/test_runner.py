"""Read models on a real log and a real database: exactly once, whatever happens."""

import asyncio
import os
import signal

import msgspec
import psycopg
import pytest
import pytest_asyncio

from eventstore.envelope import StreamId
from projections.projection import Projection, Table
from projections.queries import BadQuery, NotReached
from projections.read_models import READ_MODELS
from tests.postgres import running_postgres
from tests.projections.platform import equals_the_fold, projecting


@pytest_asyncio.fixture
async def platform(own_nats, database_url):
    async with projecting(own_nats.url, database_url) as platform:
        yield platform


async def register(platform, *names):
    for name in names:
        await platform.command("organization.register", name, {"name": name.title()})


async def rows(platform, name, **filters):
    return (await platform.models.rows(name, filters=filters)).items


async def test_it_catches_up_and_stays_live(platform):
    await register(platform, "a", "b")
    async with platform.running():
        await platform.caught_up()
        assert {row.id for row in await rows(platform, "organizations")} == {"a", "b"}
        await register(platform, "c")
        await platform.caught_up("organizations")
        assert {row.id for row in await rows(platform, "organizations")} == {"a", "b", "c"}
        status = await platform.status("organizations")
        assert (status.state, status.lag_events, status.lag_seconds) == ("live", 0, 0.0)
    await equals_the_fold(platform)


async def test_it_goes_on_where_it_was(platform):
    async with platform.running():
        await register(platform, "a")
        await platform.caught_up()
    await register(platform, "b")
    async with platform.running():
        await platform.caught_up()
    await equals_the_fold(platform)


async def test_waiting_ends_when_the_position_is_reached_or_names_the_laggard(platform):
    async with platform.running():
        await register(platform, "a")
        await platform.caught_up()
    outcome = await platform.command("organization.register", "b", {"name": "B"})
    with pytest.raises(NotReached, match=f"organizations has reached position .*, not yet {outcome.position}"):
        await platform.models.wait_for("organizations", outcome.position, 0.3)


async def test_a_projection_that_cannot_take_an_event_halts_alone_and_says_why(platform):
    sick = broken_model()
    platform.models_of = (*READ_MODELS, sick)
    async with platform.running():
        await register(platform, "a", "poison", "b")
        await platform.caught_up(*(model.name for model in READ_MODELS))
        status = await halted(platform, "sick")
        assert "poison" in status.reason
        assert f"position {status.position + 1} (organization.registered" in status.reason
    assert [r["id"] for r in await platform.pool.fetch('SELECT id FROM "sick"."sick"')] == ["a"]
    await equals_the_fold_of_the_healthy(platform)


async def equals_the_fold_of_the_healthy(platform):
    platform.models_of = READ_MODELS
    await equals_the_fold(platform)


def broken_model(on_poison=lambda: True):
    """It cannot take the organization `poison` while that says so."""
    table = READ_MODELS[0].tables[0]

    def fold(row, event, data):
        if event.stream.id == "poison" and on_poison():
            raise ValueError("poison")
        return table.fold(row, event, data)

    return Projection("sick", frozenset({"organization"}), (Table("sick", table.row, table.key, fold),))


async def halted(platform, name):
    async with asyncio.timeout(10):
        while (status := await platform.status(name)).state != "halted":
            await asyncio.sleep(0.05)
        return status


async def test_a_log_that_has_changed_behind_a_projection_is_noticed(platform):
    async with platform.running():
        await register(platform, "a")
        await platform.caught_up()
    await platform.pool.execute("UPDATE projections.checkpoint SET event_hash = 'other' WHERE name = 'stacks'")
    await platform.pool.execute("UPDATE projections.checkpoint SET position = 1000 WHERE name = 'sagas'")
    async with platform.running():
        assert "the log has changed" in (await halted(platform, "stacks")).reason
        assert "the log ends at" in (await halted(platform, "sagas")).reason
        await register(platform, "b")
        await platform.caught_up("organizations")


async def test_a_second_projector_stands_by_and_takes_over(platform):
    async with platform.running():
        await register(platform, "a")
        await platform.caught_up()
        second = platform.running(wait=False)
        await second.__aenter__()
    try:
        await register(platform, "b")
        await platform.caught_up()
    finally:
        await second.__aexit__(None, None, None)
    await equals_the_fold(platform)


async def test_it_survives_kills_of_postgresql_and_of_the_log(own_nats, tmp_path):
    with running_postgres(tmp_path / "postgres") as postgres:
        async with projecting(own_nats.url, postgres.url) as platform:
            async with platform.running():
                for number in range(12):
                    await register(platform, *(f"o{number}-{i}" for i in range(5)))
                    if number == 4:
                        os.kill(postgres.pid, signal.SIGKILL)
                        await asyncio.to_thread(postgres.restart_after_kill)
                    if number == 8:
                        own_nats.nodes[0].kill()
                        own_nats.nodes[0].start()
                await platform.caught_up(timeout=40)
            await equals_the_fold(platform)


async def rebuilt(platform, name):
    async with asyncio.timeout(20):
        while True:
            status = await platform.status(name)
            if status.rebuild_report is not None and status.state == "live":
                return status
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("count", [0, 30])
async def test_a_rebuild_on_request_gives_the_same_rows(platform, count):
    """Also on an empty read model, and again right afterwards."""
    async with platform.running():
        await register(platform, *(f"o{i}" for i in range(count)))
        await platform.caught_up()
        for _ in range(2):
            await platform.pool.execute("UPDATE projections.checkpoint SET rebuild_report = NULL")
            await platform.command("projection.rebuild", "organizations")
            status = await rebuilt(platform, "organizations")
            assert [each["same"] for each in status.rebuild_report] == [True]
        await register(platform, "after")
        await platform.caught_up()
    await equals_the_fold(platform)


async def test_a_rebuild_repairs_what_was_spoilt_and_reports_it(platform):
    async with platform.running():
        await register(platform, "a", "b")
        await platform.caught_up()
        await platform.pool.execute("DELETE FROM organizations.organizations WHERE id = 'a'")
        await platform.command("projection.rebuild", "organizations")
        status = await rebuilt(platform, "organizations")
        report = {"table": "organizations", "rows_before": 1, "rows_after": 2, "same": False, "differing": ["a"]}
        assert status.rebuild_report == [report]
    await equals_the_fold(platform)


async def test_a_rebuild_that_cannot_take_an_event_fails_and_says_why(platform):
    platform.models_of = (*READ_MODELS, broken_model())
    async with platform.running():
        await register(platform, "a", "poison")
        await halted(platform, "sick")
        requested = (await platform.command("projection.rebuild", "sick")).events[0].position
        async with asyncio.timeout(20):
            while (status := await platform.status("sick")).rebuild_failed_at != requested:
                await asyncio.sleep(0.05)
        assert (status.rebuild_failure, status.rebuild_position, status.state) == ("poison", None, "halted")
        assert status.built_at < requested
    assert [r["id"] for r in await platform.pool.fetch('SELECT id FROM "sick"."sick"')] == ["a"]


class Cure:
    """For a sick projection: until then, a poison may close the door to the database behind it."""

    def __init__(self, url):
        self.server, _, self.database = url.rpartition("/")
        self.closing, self.poisonous = False, True

    def __call__(self):
        if self.closing:
            self.let_in(False)
        return self.poisonous

    def let_in(self, whoever):
        with psycopg.connect(f"{self.server}/postgres", autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS {whoever}")


async def test_a_failure_that_cannot_be_noted_down_at_once_is_later_and_the_next_request_counts(platform, caplog):
    """The database takes no new connections just when the rebuild has failed."""
    cure = Cure(platform.url)
    platform.models_of = (*READ_MODELS, broken_model(cure))
    async with platform.running():
        await register(platform, "poison")
        await halted(platform, "sick")
        cure.closing = True
        requested = (await platform.command("projection.rebuild", "sick")).events[0].position
        async with asyncio.timeout(20):
            while "not currently accepting connections" not in caplog.text:
                await asyncio.sleep(0.02)
        cure.closing = cure.poisonous = False
        cure.let_in(True)
        async with asyncio.timeout(10):
            while (status := await platform.status("sick")).rebuild_failed_at != requested:
                await asyncio.sleep(0.05)
        assert status.rebuild_failure == "poison"
        requested = (await platform.command("projection.rebuild", "sick")).events[0].position
        assert (await rebuilt(platform, "sick")).built_at >= requested
    await equals_the_fold(platform)


async def test_events_go_on_while_a_rebuild_runs(platform):
    async with platform.running():
        await register(platform, *(f"o{i}" for i in range(40)))
        await platform.caught_up()
        await platform.command("projection.rebuild", "organizations")
        await register(platform, *(f"p{i}" for i in range(40)))
        await rebuilt(platform, "organizations")
        await platform.caught_up()
    await equals_the_fold(platform)


async def test_a_rebuild_that_was_interrupted_starts_over(platform):
    async with platform.running():
        await register(platform, "a")
        await platform.caught_up()
    await platform.pool.execute(
        "UPDATE projections.checkpoint SET rebuild_position = 1, rebuild_head = 2 WHERE name = 'organizations'"
    )
    async with platform.running():
        await rebuilt(platform, "organizations")
        await platform.caught_up()
    await equals_the_fold(platform)


async def test_changed_rules_build_the_projection_anew(platform):
    async with platform.running():
        await register(platform, "a")
        await platform.caught_up()
    await platform.pool.execute("UPDATE projections.checkpoint SET fingerprint = 'old' WHERE name = 'organizations'")
    async with platform.running():
        await rebuilt(platform, "organizations")
    await equals_the_fold(platform)


async def test_lists_are_paged_by_a_cursor_that_new_rows_do_not_move(platform):
    async with platform.running():
        await register(platform, *(f"o{i}" for i in range(7)))
        await platform.caught_up()
        first = await platform.models.rows("organizations", limit=3)
        await register(platform, "late")
        await platform.caught_up()
        second = await platform.models.rows("organizations", limit=3, cursor=first.cursor)
        third = await platform.models.rows("organizations", limit=3, cursor=second.cursor)
    assert [row.id for page in (first, second, third) for row in page.items] == [f"o{i}" for i in range(6, -1, -1)]
    assert third.cursor is None


@pytest.mark.parametrize(
    ("filters", "cursor", "fault"),
    [
        ({"colour": "red"}, None, "colour: there is no such filter; known: created_at, name"),
        ({"created_at": "yesterday"}, None, "created_at: 'yesterday' is no RFC 3339 time"),
        ({"name": "a\0b"}, None, "name: must not contain NUL"),
        ({}, "garbage!", "cursor: is none of ours"),
        ({}, "MTI", "cursor: is none of ours"),
    ],
)
async def test_a_query_that_cannot_be_answered_says_why(platform, filters, cursor, fault):
    with pytest.raises(BadQuery, match="^" + fault.split("(")[0]):
        await platform.models.rows("organizations", filters=filters, cursor=cursor)


async def test_a_row_as_it_was(platform):
    first = await platform.command("organization.register", "a", {"name": "A", "description": "old"})
    await platform.command("organization.describe", "a", {"description": "new"})
    stream = StreamId("organization", "a")
    assert (await platform.models.row_as_of("organizations", stream, first.position)).description == "old"
    assert (await platform.models.row_as_of("organizations", stream, await platform.head())).description == "new"
    assert await platform.models.row_as_of("organizations", stream, 0) is None


def test_every_row_can_be_sent_as_json():
    for model in READ_MODELS:
        for table in model.tables:
            msgspec.json.schema(table.row)
            assert table.columns[0].name == "id"
