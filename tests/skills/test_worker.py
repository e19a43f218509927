"""A worker in this process: how much it takes, when it stops, and what becomes of it without its server."""

import asyncio
import time
from base64 import b64decode
from contextlib import asynccontextmanager

import msgspec
import pytest
import pytest_asyncio

from api.requests import command_answers
from domain import skill as registry
from eventstore.connection import connect_to
from eventstore.errors import LogUnavailable
from eventstore.streams import ask, error_code
from eventstore.tasks import end_tasks
from handlers.command import Caller, Directive
from handlers.requests import answer_requests
from sagacity.wiring import open_core
from skills import taking, worker
from skills.protocol import HEARTBEATS, REPORTS, WORK, Failed, Heartbeat, Result, Succeeded, work_subject
from skills.registering import NotRegistered, register
from skills.skill import Context, Skill, SkillFailed, skill, skill_of
from skills.streams import consumer_name, create_skill_streams
from skills.worker import Worker
from tests.skills.calls import work


class Load:
    """How many calls were under way at once."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0


def counted(load: Load, name: str = "counted", **settings) -> Skill:
    @skill(name, lease=2.0, **settings)
    async def count(seconds: float, context: Context) -> float:
        load.now += 1
        load.most = max(load.most, load.now)
        try:
            await asyncio.sleep(seconds)
        finally:
            load.now -= 1
        return seconds

    return skill_of(count)


class Asker:
    def __init__(self, connection) -> None:
        self.connection = connection
        self.numbers = 0

    async def ask_for(self, skill: Skill, given, count: int = 1) -> list[str]:
        calls = [f"{skill.name}-{self.numbers + number}" for number in range(count)]
        self.numbers += count
        for call in calls:
            await self.connection.publish(
                work_subject(skill.name, "1"), msgspec.json.encode(work(skill.name, given, call=call))
            )
        await self.connection.flush()
        return calls

    async def results(self, calls: list[str], patience: float = 30) -> list[Result]:
        async with asyncio.timeout(patience):
            return [await self._result(call) for call in calls]

    async def _result(self, call: str) -> Result:
        wanted = {"last_by_subj": f"report.{call}.1.result"}
        while True:
            try:
                answer = await ask(self.connection, f"STREAM.MSG.GET.{REPORTS}", wanted)
            except LogUnavailable:
                continue
            if not error_code(answer):
                break
            await asyncio.sleep(0.02)
        return msgspec.json.decode(b64decode(answer["message"]["data"]), type=Result)

    async def leases(self, call: str) -> list[str]:
        answer = await ask(self.connection, f"STREAM.INFO.{REPORTS}", {"subjects_filter": f"report.{call}.1.*"})
        found = (subject.rpartition(".")[2] for subject in answer["state"].get("subjects") or {})
        return sorted(each for each in found if each.startswith("leased"))


@asynccontextmanager
async def running(skill: Skill, url: str, **settings):
    one, stop = Worker([skill], url, **settings), asyncio.Event()
    task = asyncio.create_task(one.run(stop))
    try:
        async with asyncio.timeout(20):
            await one.ready.wait()
        yield one
    finally:
        stop.set()
        async with asyncio.timeout(20):
            await task


@pytest_asyncio.fixture
async def asker(log_url):
    connection = await connect_to(log_url)
    yield Asker(connection)
    await connection.close()


@pytest.mark.parametrize(("scaling", "most"), [("horizontal", 3), ("event_driven", 1)])
async def test_it_takes_what_it_can_carry_out_and_no_more(log_url, asker, scaling, most):
    load = Load()
    counting = counted(load, f"takes_{scaling}", scaling=scaling)
    calls = await asker.ask_for(counting, 0.1, 9)
    async with running(counting, log_url, concurrency=3):
        assert all(isinstance(each, Succeeded) for each in await asker.results(calls))
    assert load.most == most


async def test_two_workers_share_a_queue(log_url, asker):
    counting = counted(Load(), "shared")
    async with running(counting, log_url, concurrency=1, name="a"), running(counting, log_url, concurrency=1, name="b"):
        calls = await asker.ask_for(counting, 0.1, 8)
        assert {each.worker for each in await asker.results(calls)} == {"a", "b"}


async def test_of_a_long_queue_many_are_taken_at_a_time_and_signed_for_while_they_wait(log_url, asker, monkeypatch):
    monkeypatch.setattr(taking, "_LONG_QUEUE", 40)
    load = Load()
    counting = counted(load, "long_queue", scaling="queue_based")
    calls = await asker.ask_for(counting, 0.1, 150)
    most = 0
    async with running(counting, log_url, concurrency=4):
        waiting = asyncio.create_task(asker.results(calls))
        while not waiting.done():
            info = await ask(asker.connection, f"CONSUMER.INFO.{WORK}.{consumer_name('long_queue', '1')}")
            most = max(most, info["num_ack_pending"])
            await asyncio.sleep(0.05)
        assert len(await waiting) == 150
    assert most > 50
    assert load.most == 4
    assert await asker.leases(calls[60]) == ["leased-1"], "nothing was delivered twice"


async def test_what_is_scheduled_waits_for_its_moment(log_url, asker):
    counting = counted(Load(), "scheduled", scaling="scheduled", schedule="*/3 * * * * *")
    async with running(counting, log_url):
        while time.time() % 3 < 2.0:  # until the next moment is near, and the last one over
            await asyncio.sleep(0.05)
        calls = await asker.ask_for(counting, 0)
        asked = time.time()
        await asker.results(calls)
        assert int(time.time() / 3) > int(asked / 3)


def test_all_that_is_wrong_with_its_skills_is_said_at_once():
    @skill("unknown_elsewhere", runs="process")
    def local(seconds: float, context: Context) -> float:
        return seconds

    never = counted(Load(), "never", scaling="scheduled", schedule="61 * * * *")
    with pytest.raises(ValueError, match=r"unknown_elsewhere runs in another .*; never: its schedule '61 \* \* \* \*'"):
        Worker([skill_of(local), never], "nats://127.0.0.1:1")


async def test_stopped_it_finishes_what_it_has_in_hand(log_url, asker):
    load = Load()
    counting = counted(load, "finished")
    async with running(counting, log_url):
        calls = await asker.ask_for(counting, 0.5)
        await under_way(load)
    (result,) = await asker.results(calls, patience=1)
    assert isinstance(result, Succeeded)


async def test_stopped_it_gives_back_what_takes_too_long(log_url, asker):
    load = Load()
    counting = counted(load, "given_back")
    async with running(counting, log_url, patience=0.1):
        (call,) = await asker.ask_for(counting, 3)
        await under_way(load)
    assert load.now == 0
    async with running(counting, log_url):
        await under_way(load)
        assert await asker.leases(call) == ["leased-1", "leased-2"]
        await asker.results([call])


async def test_without_its_server_it_goes_on_and_reports_when_it_is_back(own_nats, monkeypatch):
    monkeypatch.setattr(worker, "BEAT", 0.3)
    connection = await connect_to(own_nats.url)
    await create_skill_streams(connection)
    asker, load = Asker(connection), Load()
    counting = counted(load)
    async with running(counting, own_nats.url):
        calls = await asker.ask_for(counting, 1)
        await under_way(load)
        own_nats.nodes[0].kill()
        await asyncio.sleep(1.2)
        own_nats.nodes[0].start()
        await asker.results(calls)
        calls = await asker.ask_for(counting, 0)
        await asker.results(calls)
    await connection.close()


async def test_a_queue_that_was_deleted_is_there_again(log_url, asker, monkeypatch):
    monkeypatch.setattr(worker, "BEAT", 0.3)
    counting = counted(Load(), "deleted")
    async with running(counting, log_url):
        await asker.results(await asker.ask_for(counting, 0))
        assert not error_code(await ask(asker.connection, f"CONSUMER.DELETE.{WORK}.{consumer_name('deleted', '1')}"))
        await asker.results(await asker.ask_for(counting, 0))


async def test_a_heartbeat_says_how_it_fares(log_url, asker, monkeypatch):
    monkeypatch.setattr(worker, "BEAT", 0.1)

    @skill("fares")
    async def fares(well: bool, context: Context) -> bool:
        if not well:
            raise SkillFailed("not well")
        return well

    one = skill_of(fares)
    async with running(one, log_url, name="a.b c"):
        calls = [*await asker.ask_for(one, True, 2), *await asker.ask_for(one, False, 1)]
        *_, failed = await asker.results(calls)
        assert isinstance(failed, Failed)
        await asker.connection.publish(work_subject("fares", "1"), b"poison")
        wanted = {"last_by_subj": "heartbeat.fares.1.a-b-c"}
        async with asyncio.timeout(10):
            while True:
                answer = await ask(asker.connection, f"STREAM.MSG.GET.{HEARTBEATS}", wanted)
                beat = msgspec.json.decode(b64decode(answer["message"]["data"]), type=Heartbeat)
                if (beat.running, beat.done, beat.failed) == (0, 3, 1) and "poison" in beat.details:
                    break
                await asyncio.sleep(0.05)


async def test_without_streams_it_says_what_is_missing(nats_url):
    with pytest.raises(LogUnavailable, match=r"no stream WORK on this server; `sagacity init` creates it"):
        await Worker([counted(Load())], nats_url).run()


async def test_skills_are_registered_by_command_and_every_refusal_is_named(log_url):
    counting = counted(Load(), "registered", capabilities=("count",))
    async with open_core(log_url) as core:
        answering = asyncio.create_task(answer_requests(core.connection, command_answers(core.handler)))
        try:
            for _ in range(2):  # what is known stays as it is
                await register(core.connection, [counting], actor="tester")
            known = (await core.aggregates.load(registry.skill, "registered", latest=True)).state
            assert isinstance(known, registry.Known)
            assert known.versions["1"].specification == counting.specification
            wrong = counted(Load(), "wrong", cost=registry.Cost(currency="USD"))
            with pytest.raises(NotRegistered, match=r"wrong: .*/cost/currency"):
                await register(core.connection, [counting, wrong], actor="tester")
        finally:
            await end_tasks(answering)


async def test_what_was_retired_stays_so_and_a_worker_that_still_has_it_says_so_in_one_line(log_url, caplog):
    counting, other = counted(Load(), "retired"), counted(Load(), "beside")
    async with open_core(log_url) as core:
        answering = asyncio.create_task(answer_requests(core.connection, command_answers(core.handler)))
        try:
            await register(core.connection, [counting], actor="tester")
            retire = Directive(id="retire-it", category="skill", stream_id="retired", command=registry.Retire("1"))
            await core.handler.direct([retire], Caller(actor="tester"))
            await register(core.connection, [counting, other], actor="tester")
            known = (await core.aggregates.load(registry.skill, "retired", latest=True)).state
            beside = (await core.aggregates.load(registry.skill, "beside", latest=True)).state
        finally:
            await end_tasks(answering)
    assert isinstance(known, registry.Known)
    assert known.versions["1"].retired
    assert isinstance(beside, registry.Known)
    (said,) = [each.getMessage() for each in caplog.records if each.name == "skills.registering"]
    assert said.startswith("retired: version 1 was retired and stays so")
    assert "reinstate" in said


async def test_without_a_platform_registering_gives_up(nats_url):
    connection = await connect_to(nats_url)
    with pytest.raises(LogUnavailable, match="nobody answers commands"):
        await register(connection, [counted(Load())], actor="tester", patience=0.2)
    await connection.close()


async def under_way(load: Load) -> None:
    async with asyncio.timeout(20):
        while not load.now:
            await asyncio.sleep(0.02)
