"""The sagas that `python -m benchmarks workflows` has every contender run."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.workflows import Level, take_turns
from benchmarks.workflows_limits import writes_of
from benchmarks.workflows_sagas import STEPS, Measured, drive, ends, step, steps_of


def test_one_run_in_ten_fails_in_its_last_step_and_has_two_undone() -> None:
    assert [run for run in range(1, 31) if ends(run) == "compensated"] == [10, 20, 30]
    with pytest.raises(ValueError, match="step 3 of run 20 fails"):
        step(20, STEPS)
    assert (steps_of(9), steps_of(10)) == (27, 32)
    assert (writes_of(9), writes_of(10)) == (5, 7)


async def test_no_more_runs_are_in_flight_than_allowed_and_each_has_its_latency() -> None:
    now, most, seen = 0, 0, list[int]()

    async def once(run: int) -> str:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0)
        now -= 1
        seen.append(run)
        return ends(run)

    measured = await drive(25, 4, once)
    assert (most, sorted(seen), len(measured.latencies)) == (4, list(range(1, 26)), 25)


async def test_a_run_that_ends_otherwise_than_it_has_to_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="run 10 is completed, not compensated"):
        await drive(10, 1, lambda run: asyncio.sleep(0, "completed"))


def test_figures_of_a_measurement() -> None:
    measured = Measured(2.0, [0.3, 0.1, 0.2, *[0.1] * 7])
    assert (measured.runs_per_second, measured.steps_per_second) == (5, 16)
    assert (measured.percentile(0.5), measured.percentile(0.99)) == (0.1, 0.3)


async def test_contenders_take_turns_after_each_is_warm() -> None:
    calls = list[tuple[str, int]]()

    class Known:
        def __init__(self, name: str) -> None:
            self.name = name

        async def start(self, runs: int, in_flight: int) -> Measured:
            calls.append((self.name, runs))
            return Measured(1.0, [0.1] * runs)

    found = await take_turns([Known("a"), Known("b")], Level(10, 400, 2))
    assert calls == [("a", 50), ("b", 50), ("a", 400), ("b", 400), ("a", 400), ("b", 400)]
    assert {name: len(rounds) for name, rounds in found.items()} == {"a": 2, "b": 2}
