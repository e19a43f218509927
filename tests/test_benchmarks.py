"""What benchmarks with gates say of themselves."""

from __future__ import annotations

from benchmarks.__main__ import missing
from benchmarks.drift import course_gates
from benchmarks.drift_policies import NEVER, OURS
from benchmarks.drift_retraining import Tally
from benchmarks.drift_worlds import QUIET


def test_those_that_miss_a_gate_are_named_after_all_have_run() -> None:
    ran: list[str] = []

    async def run(name: str, met: bool | None) -> bool | None:
        ran.append(name)
        return met

    given = {"bad": False, "good": True, "without": None}
    assert missing({name: lambda name=name, met=met: run(name, met) for name, met in given.items()}) == ["bad"]
    assert ran == ["bad", "good", "without"]


def test_one_stream_with_more_errors_is_seen_where_the_mean_is_better() -> None:
    known = {NEVER: [Tally(rows=100, wrong=10), Tally(rows=100, wrong=50)], OURS: [Tally(100, 11), Tally(100, 20)]}
    gates = course_gates({policy: {QUIET: tallies} for policy, tallies in known.items()})
    assert [gate.what for gate in gates if not gate.met] == [f"{QUIET}: streams with more errors than never"]
