"""A thousand failures, each injected into a rollout: every one that is not passed leaves exactly the previous state.

Every strategy, every operation of the target, and all that can go wrong there, before or after the effect took place,
on the real runner and the real log. Which effect of an operation is hit, with how many instances, on which targets and
at which moment is drawn by a seed (SAGACITY_FAILURES_SEED).
"""

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from itertools import product

import pytest
from scipy.special import betaincinv

from sagas.targets.port import ReleaseFailed, TargetRefused, TargetUnavailable, TargetUnreachable
from tests.sagas.campaign import campaigns
from tests.sagas.faults import STEPS, STRATEGIES, UNDOS, Fault

SEED = int(os.environ.get("SAGACITY_FAILURES_SEED", "20261121"))
CANARIES = ("canary", "canary beside all")
MOMENTS = ("before", "after")
EFFECTS = ("allocate", "start", "switch", "retire")
GONE = (TargetUnavailable, TargetUnreachable)


def grid():
    """Everything that can go wrong, once each."""
    for strategy in STRATEGIES:
        looks = ("measure",) if strategy in CANARIES else ()
        for operation in ("validate", *EFFECTS):
            yield Fault("refused", strategy, operation, error=TargetRefused)
        yield Fault("dies", strategy, "start", error=ReleaseFailed)
        yield Fault("sick", strategy, "health", times=0)
        for operation, when, error in product((*STEPS, *looks), MOMENTS, GONE):
            yield Fault("passes", strategy, operation, when, error=error, times=5 if operation in looks else 2)
        for operation, when, error, person in product(STEPS, MOMENTS, GONE, ("resume", "cancel")):
            yield Fault("lasts", strategy, operation, when, error=error, person=person)
        for operation, when in product(STEPS, MOMENTS):
            yield Fault("lasts", strategy, operation, when, error=TargetUnreachable, fallback=True)
            yield Fault("no answer", strategy, operation, when)
        for operation, when in product((*STEPS, *looks), MOMENTS):
            yield Fault("cancelled", strategy, operation, when)
        yield from [Fault("cancelled", strategy, "any moment")] * 6
        for operation, when, times in product(UNDOS, MOMENTS, (0, 2)):
            yield Fault("undo", strategy, operation, when, times=times)
        for operation in UNDOS:
            yield Fault("undo", strategy, operation, error=TargetRefused, times=1)
        yield Fault("undo", strategy, "unretire", error=ReleaseFailed, times=1)
    for operation, when, person in product(STEPS[:4], MOMENTS, ("resume", "cancel")):
        yield Fault("lasts", "switch_over", operation, when, 0, TargetUnreachable, 0, person, 1, False, True, True)
    yield from [Fault("sick", "blue_green", "health", times=1)] * 4
    for strategy in CANARIES:
        yield from [Fault("wrong answers", strategy, "measure")] * 12


def drawn(fault, dice):
    """The same with everything that is left to chance."""
    needs_old = fault.operation in ("retire", "measure", *UNDOS)
    place = 0.99 if _has_no_clock(fault) else dice.random()
    return fault._replace(
        place=place,
        instances=dice.randint(2, 3) if fault.strategy == "rolling by 2" else dice.randint(1, 3),
        elsewhere=not needs_old and dice.random() < 0.15,
        fallback=fault.fallback or (fault.error is not TargetUnreachable and dice.random() < 0.3),
        delay=dice.uniform(0, 0.5 if fault.operation == "any moment" else 0.03),
    )


def _has_no_clock(fault):
    """The steps of a canary take as long as they take: only its last switch can be late."""
    return fault.kind == "no answer" and fault.operation == "switch" and fault.strategy in CANARIES


def faults(count, seed):
    """So many, every one of the grid before any comes twice, in an order of its own."""
    dice = random.Random(seed)
    found = []
    while len(found) < count:
        once = list(grid())
        dice.shuffle(once)
        found += [drawn(fault, dice) for fault in once[: count - len(found)]]
    return found


async def inject(url, count, environments, seed=SEED):
    """Deal the faults to environments that work at the same time; all results."""
    dealt = faults(count, seed)
    results = []

    async def work(campaign, number):
        there = await _prepared(campaign, f"c{number}", number)
        for turn, fault in enumerate(dealt[number::environments]):
            results.append(await there.meet(fault))
            if results[-1].wrong:  # what it has left would be held against the next ones
                there = await _prepared(campaign, f"c{number}-{turn}", number)

    async with campaigns(url) as campaign:
        await asyncio.gather(*(work(campaign, number) for number in range(environments)))
    return results


async def _prepared(campaign, name, number):
    there = campaign(name)
    await there.prepare(instances=1 + number % 3)
    return there


def table(results):
    """By kind: injected, passed (the rollout is complete), rolled back, and how many are exactly as they should be."""
    rows = defaultdict(Counter)
    for result in results:
        label = f"{result.fault.kind} {_error(result.fault)}".strip()
        for row in (label, "all"):
            rows[row] += Counter({"injected": 1, result.outcome: 1, "right": not result.wrong})
    lines = [f"{'failure':38}{'injected':>9}{'passed':>9}{'rolled back':>13}{'exact':>9}{'success':>10}"]
    for label, row in sorted(rows.items(), key=lambda each: (each[0] == "all", each[0])):
        counts = f"{row['injected']:9,}{row['completed']:9,}{row['rolled_back']:13,}{row['right']:9,}"
        lines.append(f"{label:38}{counts}{row['right'] / row['injected']:10.2%}")
    return "\n".join(lines)


def proven(results):
    """Exact rollbacks, all that were due, and the share of exact ones that is certain at 95 % (Clopper-Pearson 1934).

    Whatever is not as it should be counts as a rollback that did not work.
    """
    due = [result for result in results if result.wrong or result.outcome == "rolled_back"]
    exact = sum(not result.wrong for result in due)
    return exact, len(due), float(betaincinv(exact, len(due) - exact + 1, 0.05)) if exact else 0.0


def _error(fault):
    if fault.kind not in ("passes", "lasts", "undo"):
        return ""
    name = {
        TargetUnavailable: "no answer" if fault.when == "after" else "unavailable",
        TargetUnreachable: "unreachable",
        TargetRefused: "refused",
        ReleaseFailed: "dies",
    }[fault.error]
    unreachable = fault.error is TargetUnreachable and fault.kind == "lasts"
    return f"{name}, next target" if unreachable and fault.fallback and not fault.everywhere else name


def judge(results):
    met = [result for result in results if result.hits]
    wrong = [f"{result.fault}: {result.wrong}" for result in results if result.wrong]
    assert not wrong, "\n".join(wrong[:10])
    return met


@pytest.mark.timeout(120)
async def test_a_seeded_sample_of_failures_leaves_what_was_there(log_url):
    met = judge(await inject(log_url, count=40, environments=15))
    assert len(met) >= 32


async def test_a_rolling_update_that_moves_to_another_target_leaves_nothing_on_the_first(log_url):
    async with campaigns(log_url) as campaign:
        there = await _prepared(campaign, "moved", 1)
        for strategy in ("rolling", "rolling by 2"):
            result = await there.meet(Fault("none", strategy, "none", instances=2, elsewhere=True))
            assert (result.outcome, result.wrong) == ("completed", "")


async def test_what_a_lost_target_had_retired_does_not_come_back_when_it_is_cleaned_up(log_url):
    """The connection is lost when the second of three old instances is retired; the rollout ends on the next target."""
    lost = Fault("lasts", "switch_over", "retire", place=0.5, error=TargetUnreachable, fallback=True)
    async with campaigns(log_url) as campaign:
        result = await (await _prepared(campaign, "revived", 2)).meet(lost)
        assert (result.outcome, result.wrong) == ("completed", "")
        assert result.hits


@pytest.mark.matrix
@pytest.mark.timeout(1200)
async def test_a_thousand_failures_and_every_rollback_is_exact(log_url, capsys):
    began = time.monotonic()
    results = await inject(log_url, count=1_150, environments=24)
    met = [result for result in results if result.hits]
    exact, due, certain = proven(met)
    with capsys.disabled():
        print(f"\n{table(met)}\n{len(met):,} failures in {time.monotonic() - began:.0f} s, seed {SEED}")
        print(f"{exact:,} of {due:,} rollbacks exact: at least {certain:.2%} with 95 % confidence")
    judge(results)
    assert len(met) >= 1_000
    assert certain > 0.99


def test_every_strategy_meets_every_kind_of_failure_at_every_operation():
    """The grid has no holes, and the thousand contain all of it."""
    many = {(fault.kind, fault.strategy, fault.operation, fault.when, fault.error) for fault in faults(1_150, SEED)}
    assert {(each.kind, each.strategy, each.operation, each.when, each.error) for each in grid()} <= many
    for strategy, operation in product(STRATEGIES, (*STEPS, *UNDOS)):
        kinds = {kind for kind, its, at, *_ in many if (its, at) == (strategy, operation)}
        assert kinds >= ({"undo"} if operation in UNDOS else {"passes", "lasts", "no answer", "cancelled"})
