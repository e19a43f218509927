"""What every worker does, in whatever language it is written; the engine's part is played by the tests."""

import asyncio
import uuid
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest_asyncio

from domain.skill import Isolation
from domain.workflow import LARGEST_INLINE, Value
from eventstore.blobs import Blobs
from eventstore.connection import Connection, connect_to
from eventstore.envelope import now
from eventstore.pulling import pulled
from eventstore.streams import ask
from skills.protocol import (
    HEARTBEATS,
    REPORTS,
    WORK,
    Failed,
    Heartbeat,
    Leased,
    Progressed,
    Report,
    Succeeded,
    report_subject,
    work_subject,
)
from skills.streams import consumer_name, keep_consumer
from tests.skills.calls import work
from tests.skills.contract_skill import LEASE

SKILL = "contract"


class Platform:
    """Puts calls on the queue, and reads what is said of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.blobs = Blobs(connection)

    async def ask_for(self, call: str, given: Any = None, **settings: Any) -> None:
        asked = work(SKILL, given, call=call, lease=LEASE, user={"word": "kept"}, **settings)
        await self.send(msgspec.json.encode(asked))

    async def send(self, raw: bytes) -> None:
        answer = await self.connection.request(work_subject(SKILL, "1"), raw, timeout=5)
        assert "error" not in msgspec.json.decode(answer.data)

    async def result(self, call: str) -> Succeeded | Failed:
        found = await self.heard(report_subject(call, 1))
        assert isinstance(found, Succeeded | Failed)
        return found

    async def heard(self, subject: str) -> Report:
        async with asyncio.timeout(30):
            while (found := await self.last(REPORTS, subject)) is None:
                await asyncio.sleep(0.05)
        return msgspec.json.decode(found, type=Report)

    async def last(self, stream: str, subject: str) -> bytes | None:
        answer = await ask(self.connection, f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
        return b64decode(answer["message"]["data"]) if "message" in answer else None

    async def subjects(self, call: str) -> list[str]:
        """What was said of a call, besides its result."""
        answer = await ask(self.connection, f"STREAM.INFO.{REPORTS}", {"subjects_filter": f"report.{call}.1.>"})
        found = answer["state"].get("subjects") or {}
        return sorted(subject.rpartition(".")[2] for subject in found if not subject.endswith(".result"))

    async def report(self, call: str, result: Succeeded | Failed) -> None:
        """In the place of somebody else."""
        answer = await self.connection.request(report_subject(call, 1), msgspec.json.encode(result), timeout=5)
        assert "error" not in msgspec.json.decode(answer.data)

    @asynccontextmanager
    async def no_reports(self) -> AsyncGenerator[None]:
        """The stream of reports hears nothing meanwhile."""
        config = (await ask(self.connection, f"STREAM.INFO.{REPORTS}"))["config"]
        away = await ask(self.connection, f"STREAM.UPDATE.{REPORTS}", {**config, "subjects": ["away.>"]})
        assert "error" not in away
        try:
            yield
        finally:
            assert "error" not in await ask(self.connection, f"STREAM.UPDATE.{REPORTS}", config)

    async def settled(self) -> None:
        """Until every call is acknowledged or refused."""
        async with asyncio.timeout(30):
            while (await ask(self.connection, f"STREAM.INFO.{WORK}"))["state"]["messages"]:
                await asyncio.sleep(0.05)

    async def taken_by_one_that_dies(self) -> None:
        """Delivered once to somebody who never says a word."""
        await keep_consumer(self.connection, SKILL, "1", LEASE)
        async with aclosing(pulled(self.connection, WORK, consumer_name(SKILL, "1"))) as calls:
            await anext(calls)


class SkillContract:
    """Give `url` (a server with the streams), `starter` (it can start, stop at once, and have died) and `worker`, the
    same after its start."""

    @pytest_asyncio.fixture
    async def platform(self, url: str) -> AsyncIterator[Platform]:
        connection = await connect_to(url)
        yield Platform(connection)
        await connection.close()

    async def test_a_call_is_leased_and_its_output_on_record(self, platform: Platform, worker: Any):
        call = _new_call()
        await platform.ask_for(call, {"do": "double", "number": 21})
        result = await platform.result(call)
        assert isinstance(result, Succeeded)
        assert result.output == Value(inline={"number": 42, "word": "kept"})
        assert result.worker == "under-test"
        assert result.seconds > 0
        leased = await platform.heard(report_subject(call, 1, "leased-1"))
        assert leased == Leased("under-test", 1)
        await platform.settled()

    async def test_a_failure_says_whether_another_attempt_may_succeed(self, platform: Platform, worker: Any):
        for reason, retryable in (("again", True), ("never", False)):
            call = _new_call()
            await platform.ask_for(call, {"do": reason})
            result = await platform.result(call)
            assert isinstance(result, Failed)
            assert (result.reason, result.retryable, result.invalid) == (reason, retryable, False)

    async def test_an_input_that_is_not_what_it_takes_is_invalid(self, platform: Platform, worker: Any):
        call = _new_call()
        await platform.ask_for(call, {"do": "double", "number": "many"})
        result = await platform.result(call)
        assert isinstance(result, Failed)
        assert result.invalid
        assert not result.retryable

    async def test_progress_is_told_but_not_too_often_and_its_lease_is_kept_meanwhile(
        self, platform: Platform, worker: Any, tmp_path: Path
    ):
        call = _new_call()
        await platform.ask_for(call, {"do": "slowly", "number": 3, "file": str(tmp_path / "runs")})
        await platform.result(call)
        leased, *progress = await platform.subjects(call)
        assert leased == "leased-1"
        assert 2 <= len(progress) <= 6
        numbers = sorted(int(each.removeprefix("progress-")) for each in progress)
        last = await platform.heard(report_subject(call, 1, f"progress-{numbers[-1]}"))
        assert last == Progressed(1.0, "all of it")
        assert (tmp_path / "runs").read_text().splitlines() == [call]

    async def test_it_says_that_it_is_there(self, platform: Platform, worker: Any):
        async with asyncio.timeout(20):
            while (found := await platform.last(HEARTBEATS, f"heartbeat.{SKILL}.1.under-test")) is None:
                await asyncio.sleep(0.05)
        beat = msgspec.json.decode(found, type=Heartbeat)
        assert (beat.skill, beat.version, beat.worker) == (SKILL, "1", "under-test")

    async def test_what_is_large_comes_and_goes_by_reference(self, platform: Platform, worker: Any):
        """One way and the other, as the same JSON."""
        call, large = _new_call(), msgspec.json.encode({"do": "measure", "text": "ä" * LARGEST_INLINE})
        hash = await platform.blobs.put(large)
        await platform.ask_for(call, value=Value(hash=hash, size=len(large)))
        result = await platform.result(call)
        assert isinstance(result, Succeeded), result
        assert result.output.inline == {"number": LARGEST_INLINE}

        call = _new_call()
        await platform.ask_for(call, {"do": "grow", "number": LARGEST_INLINE})
        result = await platform.result(call)
        assert isinstance(result, Succeeded), result
        content = await platform.blobs.get(result.output.hash)
        assert len(content) == result.output.size
        assert msgspec.json.decode(content) == {"text": "x" * LARGEST_INLINE}

    async def test_what_is_no_call_is_dropped_and_whoever_waits_is_told(self, platform: Platform, worker: Any):
        call = _new_call()
        for none in (b"\xff no json", b"null", b"[]", b"{}"):
            await platform.send(none)
        await platform.send(b'{"call": "../a.b", "attempt": 1}')
        await platform.send(msgspec.json.encode({"call": call, "attempt": 1, "skill": SKILL}))
        other = _new_call()
        await platform.ask_for(other, {"do": "double", "number": 1}, version="2")
        for each in (call, other):
            result = await platform.result(each)
            assert isinstance(result, Failed)
            assert result.invalid
        await platform.settled()

    async def test_a_result_on_record_stands_and_the_call_is_not_made_again(
        self, platform: Platform, starter: Any, tmp_path: Path
    ):
        """Somebody was killed between the result and the acknowledgement."""
        starter.stop()
        call, runs = _new_call(), tmp_path / "runs"
        await platform.ask_for(call, {"do": "double", "number": 1, "file": str(runs)})
        await platform.taken_by_one_that_dies()
        await platform.report(call, Succeeded(Value(inline="first")))
        starter.start()
        await platform.settled()
        assert not runs.exists()
        assert await platform.result(call) == Succeeded(Value(inline="first"))
        assert await platform.subjects(call) == []

    async def test_a_call_that_is_queued_again_after_its_end_is_not_made_again(
        self, platform: Platform, worker: Any, tmp_path: Path
    ):
        """A server that was killed does not know any more what it had queued, and delivers it for the first time."""
        call, runs = _new_call(), tmp_path / "runs"
        for _ in range(2):
            await platform.ask_for(call, {"do": "double", "number": 1, "file": str(runs)})
            await platform.settled()
        assert runs.read_text().splitlines() == [call]
        assert await platform.subjects(call) == ["leased-1"]

    async def test_a_call_that_was_called_off_is_not_begun(self, platform: Platform, worker: Any, tmp_path: Path):
        call, runs = _new_call(), tmp_path / "runs"
        await platform.report(call, Failed("cancelled", retryable=False))
        await platform.ask_for(call, {"do": "double", "number": 1, "file": str(runs)})
        await platform.settled()
        assert not runs.exists()
        assert await platform.subjects(call) == []

    async def test_a_call_whose_deadline_is_over_fails_and_is_not_begun(
        self, platform: Platform, worker: Any, tmp_path: Path
    ):
        call, runs = _new_call(), tmp_path / "runs"
        over = now() - timedelta(seconds=1)
        await platform.ask_for(call, {"do": "double", "number": 1, "file": str(runs)}, deadline=over)
        result = await platform.result(call)
        assert isinstance(result, Failed)
        assert (result.reason, result.invalid) == ("its deadline was over before it was begun", False)
        assert not runs.exists()
        await platform.settled()

    async def test_what_is_to_be_isolated_does_nothing_that_it_may_not(
        self, platform: Platform, worker: Any, tmp_path: Path
    ):
        """Whoever cannot isolate it fails it."""
        call, runs = _new_call(), tmp_path / "runs"
        given = {"do": "double", "number": 1, "file": str(runs)}
        await platform.ask_for(call, given, isolation=Isolation())
        assert isinstance(await platform.result(call), Failed)
        assert not runs.exists()
        await platform.settled()

    async def test_a_result_that_is_not_stored_is_told_again_and_the_work_is_not_done_again(
        self, platform: Platform, worker: Any, tmp_path: Path
    ):
        call, runs = _new_call(), tmp_path / "runs"
        unavailable = {"error": {"code": 503, "err_code": 10008, "description": "temporarily unavailable"}}
        async with platform.no_reports():
            told = await platform.connection.subscribe(report_subject(call, 1))
            await platform.ask_for(call, {"do": "double", "number": 1, "file": str(runs)})
            await (await told.next_msg(timeout=10)).respond(msgspec.json.encode(unavailable))
            await told.unsubscribe()
        assert isinstance(await platform.result(call), Succeeded)
        await platform.settled()
        assert runs.read_text().splitlines() == [call]

    async def test_of_two_results_the_server_keeps_the_first(self, platform: Platform, worker: Any, tmp_path: Path):
        """Two workers had the call in hand, because one was believed to be dead."""
        call = _new_call()
        await platform.ask_for(call, {"do": "slowly", "number": 1, "file": str(tmp_path / "runs")})
        await platform.heard(report_subject(call, 1, "leased-1"))
        await platform.report(call, Succeeded(Value(inline="first")))
        await platform.settled()
        assert (tmp_path / "runs").read_text().splitlines() == [call]
        assert await platform.result(call) == Succeeded(Value(inline="first"))

    async def test_a_call_whose_worker_is_killed_is_made_by_another_with_the_same_id(
        self, platform: Platform, starter: Any, tmp_path: Path
    ):
        call, runs = _new_call(), tmp_path / "runs"
        starter.start()
        await platform.ask_for(call, {"do": "die_once", "text": "four", "file": str(runs)})
        await starter.died()
        starter.start()
        result = await platform.result(call)
        assert isinstance(result, Succeeded), result
        assert result.output.inline == {"number": 4}
        assert runs.read_text().splitlines() == [call, call]
        await platform.settled()
        assert "leased-2" in await platform.subjects(call)


def _new_call() -> str:
    return f"run-{uuid.uuid4().hex[:12]}"
