"""The built-in splitter keeps every promise of the port, and splits exactly."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.measurement import bucket_of
from sagas.targets.splitter.builtin import BuiltinSplitter
from sagas.targets.splitter.port import Arm, Splitter
from sagas.targets.splitter.split import Split
from tests.targets.fast_load import Visitor, ask_often
from tests.targets.hosts import until
from tests.targets.splitter_contract import ArmsOf, SplitterContract, counted, front, route, shares

weights = st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(any)


def arms(values: list[int]) -> tuple[Arm, ...]:
    return tuple(Arm(f"arm-{number}", 20_000 + number, weight) for number, weight in enumerate(values))


class TestBuiltinSplitter(SplitterContract):
    @pytest.fixture
    async def splitter(self) -> AsyncIterator[Splitter]:
        splitter = BuiltinSplitter()
        await splitter.start()
        yield splitter
        await splitter.stop()

    async def test_the_split_is_exact(self, splitter: Splitter, arm: ArmsOf):
        port, stable, canary = await front(splitter), await arm("stable"), await arm("canary")
        await splitter.route("front", route((stable, 95), (canary, 5)))
        assert shares(await ask_often(port, 1_000)) == {"stable": 950, "canary": 50}

    async def test_an_answer_that_its_client_did_not_wait_for_counts_with_the_time_it_took(
        self, splitter: Splitter, arm: ArmsOf
    ):
        """A release that hangs until its clients give up is found by its latency."""
        port, slow = await front(splitter), await arm("slow")
        slow.delay = 5.0
        await splitter.route("front", route((slow, 1)))
        with contextlib.closing(Visitor(port)) as visitor, pytest.raises(TimeoutError):
            await asyncio.wait_for(visitor.ask(), 0.3)
        counts = (await counted(splitter, 1))["slow"]
        assert (counts.errors, sum(counts.latency.values())) == (0, 1)
        assert min(counts.latency) >= bucket_of(0.3) - 1

        async def over() -> bool:
            return await splitter.in_flight("slow") == 0

        await until(over)

    async def test_what_a_release_took_and_never_answered_is_its_error_though_another_answers(
        self, splitter: Splitter, arm: ArmsOf
    ):
        port, good, dying = await front(splitter), await arm("good"), await arm("dying")
        dying.delay = 5.0
        await splitter.route("front", route((dying, 1), (good, 0)))
        asking = asyncio.create_task(ask_often(port, 1))

        async def there() -> bool:
            return dying.requests == 1

        await until(there)
        await splitter.route("front", route((dying, 0), (good, 1)))
        dying.stop()
        assert shares(await asking) == {"good": 1}
        counts = await counted(splitter, 2)
        assert {key: (arm.requests, arm.errors) for key, arm in counts.items()} == {"good": (1, 0), "dying": (1, 1)}


@given(weights, st.integers(1, 3))
def test_every_round_gives_each_arm_exactly_its_weight(values: list[int], rounds: int):
    split = Split(arms(values))
    for _ in range(rounds):
        turns = Counter(arm.key for _ in range(sum(values)) if (arm := split.next()))
        assert turns == Counter({arm.key: arm.weight for arm in arms(values)})


@given(weights)
def test_turns_are_spread_evenly(values: list[int]):
    """At no moment is an arm a whole request or more from its share for each other arm there is."""
    split, turns = Split(arms(values)), Counter()
    for number in range(1, sum(values) + 1):
        arm = split.next()
        assert arm is not None
        turns[arm.key] += 1
        for arm in arms(values):
            assert abs(turns[arm.key] - number * arm.weight / sum(values)) < len(values)


@given(weights, st.sets(st.integers(0, 4)))
def test_what_is_left_out_is_not_chosen(values: list[int], left_out: set[int]):
    split, without = Split(arms(values)), {f"arm-{number}" for number in left_out}
    expected = {arm.key for arm in arms(values) if arm.weight and arm.key not in without}
    turns = {arm.key if (arm := split.next(without)) else None for _ in range(sum(values))}
    places = {arm.key if (arm := split.of(f"value-{n}", without)) else None for n in range(20)}
    assert turns == (expected or {None})
    assert places <= (expected or {None})


@given(st.integers(0, 100), st.integers(0, 100), st.text())
def test_a_value_on_the_first_arm_stays_there_while_it_grows(weight: int, more: int, value: str):
    small, large = sorted((weight, more))
    keys = [Split(arms([share, 100 - share])).of(value) for share in (small, large)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert not (keys[0].key == "arm-0" and keys[1].key == "arm-1")


@given(st.integers(0, 100), st.integers(0, 100), st.text())
def test_a_value_on_the_last_arm_stays_there_while_it_grows(weight: int, more: int, value: str):
    small, large = sorted((weight, more))
    keys = [Split(arms([100 - share, share])).of(value) for share in (small, large)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert not (keys[0].key == "arm-1" and keys[1].key == "arm-0")
