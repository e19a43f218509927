"""A skill says the same wherever it runs, and whatever becomes of it is a result."""

import asyncio

import msgspec
import psutil
import pytest
import pytest_asyncio

from domain.circuit import CircuitPolicy
from domain.workflow import LARGEST_INLINE, Value
from eventstore.blobs import Blobs, create_blobs
from eventstore.connection import connect_to
from skills.executing import Executor, importable
from skills.protocol import Failed, Succeeded
from skills.skill import Security, skill, skill_of
from tests.skills import offered
from tests.skills.calls import NO_BLOBS, work


@pytest_asyncio.fixture
async def executor():
    executor = Executor(NO_BLOBS, worker="w", processes=1)
    yield executor
    await executor.close()


@pytest.mark.parametrize("function", [offered.count_words, offered.count_in_thread, offered.count_in_pool])
async def test_the_same_comes_of_it_wherever_it_runs(executor, function):
    told = []
    given = work("a", {"text": "one two three"})
    result = await executor.run(skill_of(function), given, lambda *said: told.append(said))
    await asyncio.sleep(0)
    assert isinstance(result, Succeeded)
    assert result.output == Value(inline={"words": 3})
    assert result.worker == "w"
    assert 0 < result.seconds < 60
    assert told == [(0.5, "half")]


async def test_what_it_reports_of_itself_is_in_the_result(executor):
    result = await executor.run(skill_of(offered.count_words), work("a", {}))
    assert isinstance(result, Succeeded)
    assert (result.cost, result.exchanges) == (0.25, ("a" * 64,))


@pytest.mark.parametrize("function", [offered.count_words, offered.count_in_thread, offered.count_in_pool])
async def test_an_input_that_it_does_not_take_is_invalid(executor, function):
    result = await executor.run(skill_of(function), work("a", {"text": 3}))
    assert isinstance(result, Failed)
    assert result.reason == "the input is not what it takes: Expected `str`, got `int` - at `$.text`"
    assert result.invalid
    assert not result.retryable


@pytest.mark.parametrize(
    ("text", "reason", "retryable"),
    [("again", "again", True), ("never", "never", False), ("unexpected", "RuntimeError: unexpected", True)],
)
async def test_a_failure_has_its_reason(executor, text, reason, retryable):
    result = await executor.run(skill_of(offered.fails), work("a", {"text": text}))
    assert isinstance(result, Failed)
    assert (result.reason, result.retryable, result.invalid) == (reason, retryable, False)


async def test_the_contexts_of_system_and_security_cannot_be_changed(executor):
    call = work("a", {})
    result = await executor.run(skill_of(offered.change_contexts), call)
    assert isinstance(result, Succeeded)
    assert result.output.inline == ["attempt", "actor"]
    assert (call.system.attempt, call.security.actor) == (1, "tester")


async def test_a_run_that_may_not_use_a_skill_does_not(executor):
    security = Security("tester", skills=("other",))
    result = await executor.run(skill_of(offered.count_words), work("a", {}, security=security))
    assert result == Failed("the run may not use the skill count_words", False, False, "w", result.seconds)


@pytest.mark.parametrize(
    ("function", "given"),
    [(offered.sleeps, 60), (offered.sleeps_in_thread, 3), (offered.process_of_pool, {"text": "work"})],
)
async def test_what_takes_longer_than_it_may_has_failed_and_may_be_tried_again(executor, function, given):
    result = await executor.run(skill_of(function), work("a", given, timeout=0.6))
    assert isinstance(result, Failed)
    assert (result.reason, result.retryable, result.late) == ("no result after 0.6 s", True, True)
    assert result.seconds < 10
    assert not any("skills.isolation.program" in " ".join(each.cmdline()) for each in psutil.Process().children())


async def test_a_process_of_the_pool_lives_through_many_calls_and_is_replaced_when_it_dies(executor):
    pool = skill_of(offered.process_of_pool)
    first = await executor.run(pool, work("a", {}))
    assert isinstance(first, Succeeded)
    assert (await executor.run(pool, work("a", {}))).output == first.output
    died = await executor.run(pool, work("a", {"text": "die"}))
    assert isinstance(died, Failed)
    assert (died.reason, died.retryable) == ("its process was ended by SIGSEGV", True)
    again = await executor.run(pool, work("a", {}))
    assert isinstance(again, Succeeded)
    assert again.output != first.output


async def test_what_is_large_is_in_the_object_store(nats_url):
    connection = await connect_to(nats_url)
    await create_blobs(connection)
    blobs = Blobs(connection)
    executor = Executor(blobs)
    large = await executor.run(skill_of(offered.grows), work("a", LARGEST_INLINE))
    assert isinstance(large, Succeeded)
    assert large.output.inline is None
    assert large.output.size == LARGEST_INLINE + 2
    assert msgspec.json.decode(await blobs.get(large.output.hash)) == "x" * LARGEST_INLINE
    size = await executor.run(skill_of(offered.size_of), work("a", value=large.output))
    assert isinstance(size, Succeeded)
    assert size.output == Value(inline=LARGEST_INLINE)
    gone = await executor.run(skill_of(offered.size_of), work("a", value=Value(hash="0" * 64, size=300_000)))
    assert isinstance(gone, Failed)
    assert "not stored any more" in gone.reason
    await connection.close()


def test_only_what_another_process_can_import_runs_in_one():
    @skill("local", runs="process")
    def local(text: str, context: offered.Context) -> str:
        return text

    assert importable(skill_of(offered.process_of_pool)) == ("tests.skills.offered", "process_of_pool")
    with pytest.raises(ValueError, match="local runs in another process: it must be a function of a module"):
        importable(skill_of(local))


def test_what_is_out_of_bounds_is_refused_where_it_is_written():
    """And not when it is on the record, where nobody could read it."""
    with pytest.raises(msgspec.ValidationError, match="<= 1000"):
        skill("a", circuit=CircuitPolicy(failures=1_001))(offered.count_words)
