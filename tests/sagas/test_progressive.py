"""Canary, blue/green, rolling and fallback on the real runner and the real log, with a target in memory."""

import pytest

from domain import canary
from domain.measurement import Counts, Reading
from eventstore.envelope import StreamId
from sagas.targets.port import TargetUnreachable
from tests.sagas.story import told
from tests.targets.memory_target import MemoryTarget

ANALYSIS = {"interval": 0.1, "latency_quantiles": []}
CANARY = {
    "kind": "canary",
    "steps": [{"weight": 5}, {"weight": 25}, {"weight": 50}],
    "analysis": ANALYSIS,
}


def count(story, wrong=0.0, each=200):
    """Every look finds `each` more requests on either arm, of which the canary's are wrong at that rate."""
    looks = 0
    measure = story.target.measure

    async def counted(front):
        nonlocal looks
        looks += 1
        await measure(front)
        total = each * looks
        bad = int(total * wrong)
        mine, baseline = Counts(total, bad, bad), Counts(total, 0, 0)
        return Reading("counted", {f"{story.new}-start": mine, f"{story.new}-start-b": baseline})

    story.target.measure = counted


async def events(story, kind=object):
    stored = await story.core.store.load(StreamId("deployment", story.new), latest=True)
    return [data for data in map(story.core.store.decode, stored) if isinstance(data, kind)]


async def weights(story):
    front = await story.target.front(f"{story.name}-env--{story.name}-stack")
    return front.weights


async def test_a_good_canary_is_promoted_by_evidence(log_url):
    async with told(log_url, "good-canary") as story:
        count(story)
        await story.request(story.new, "2", strategy=CANARY)
        assert await story.outcome(story.new) == "deployment.completed"
        verdicts = await events(story, canary.Judged)
        assert verdicts[-1].decision == "promote"
        assert [each.number for each in verdicts] == list(range(1, len(verdicts) + 1))
        assert await weights(story) == {f"{story.new}-start": 1}
        assert [run.start_key for run in await story.target.inventory()] == [f"{story.new}-start"]


async def test_a_wrong_canary_is_rolled_back_by_evidence_and_leaves_nothing(log_url):
    async with told(log_url, "wrong-canary") as story:
        count(story, wrong=0.1)
        await story.request(story.new, "2", strategy=CANARY)
        assert await story.outcome(story.new) == "deployment.rolled_back"
        assert (await events(story, canary.Judged))[-1].decision == "roll_back"
        await story.nothing_has_changed()


async def test_a_gate_waits_for_the_approval_of_a_person(log_url):
    gated = {**CANARY, "steps": [{"weight": 10, "gate": True}]}
    async with told(log_url, "gate") as story:
        count(story)
        early = await story.command("deployment.approve", story.old)
        assert early.refusal == "deployment_ended"
        await story.request(story.new, "2", strategy=gated)
        await story.until(
            lambda: events(story, canary.Judged),
            lambda verdicts: verdicts[-1:] and verdicts[-1].decision == "await_approval",
        )
        assert await weights(story) == {f"{story.new}-start": 10, f"{story.old}-start": 80, f"{story.new}-start-b": 10}
        assert (await story.command("deployment.approve", story.new, {"reason": "seen it"})).outcome == "accepted"
        assert await story.outcome(story.new) == "deployment.completed"


async def test_a_measurement_of_another_system_decides(log_url):
    declared = {**ANALYSIS, "errors": False, "measurements": [{"name": "wrong_answers"}]}
    async with told(log_url, "metric") as story:
        count(story)
        await story.request(story.new, "2", strategy={**CANARY, "analysis": declared})
        await story.until(lambda: events(story, canary.TrafficShifted), bool)
        unknown = await story.command(
            "deployment.record_measurement",
            story.new,
            {"metric": "other", "canary": {"total": 9, "bad": 0}, "baseline": {"total": 9, "bad": 0}},
        )
        assert unknown.refusal == "metric_not_declared"
        # One report is one cluster of events to the analysis: several small ones are evidence, a big one is not.
        for _ in range(20):
            measured = {
                "metric": "wrong_answers",
                "canary": {"total": 60, "bad": 9},
                "baseline": {"total": 60, "bad": 1},
            }
            told_of = await story.command("deployment.record_measurement", story.new, measured)
            if told_of.outcome == "refused":
                break
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()


async def test_blue_green_goes_back_at_once_when_cancelled_while_the_old_release_is_kept(log_url):
    async with told(log_url, "blue") as story:
        await story.request(story.new, "2", strategy={"kind": "blue_green", "keep": 60})
        await story.until(lambda: weights(story), lambda found: found == {f"{story.new}-start": 1})
        running = {run.start_key for run in await story.target.inventory()}
        assert running == {f"{story.old}-start", f"{story.new}-start"}
        await story.command("deployment.cancel", story.new, {"reason": "complaints"})
        assert await story.outcome(story.new) == "deployment.rolled_back"
        await story.nothing_has_changed()
        undone = [act for act in story.target.acts if act[0] in ("switch_back", "stop", "free")]
        assert [what for what, _ in undone] == ["switch_back", "stop", "free"]


@pytest.mark.parametrize("promoted", [False, True])
async def test_blue_green_lets_the_old_release_go_when_its_time_is_up_or_a_person_says_so(log_url, promoted):
    async with told(log_url, f"green-{promoted}") as story:
        await story.request(story.new, "2", strategy={"kind": "blue_green", "keep": 60 if promoted else 0.5})
        if promoted:
            await story.until(
                lambda: story.command("deployment.promote", story.new), lambda done: done.outcome == "accepted"
            )
        assert await story.outcome(story.new) == "deployment.completed"
        assert [run.start_key for run in await story.target.inventory()] == [f"{story.new}-start"]


async def test_a_rolling_update_and_its_way_back(log_url):
    async with told(log_url, "rolling") as story:
        up = {"strategy": "rolling", "instances": 3}
        await story.request(story.new, "2", **up)
        assert await story.outcome(story.new) == "deployment.completed"
        three = {f"{story.new}-start", f"{story.new}-start-2", f"{story.new}-start-3"}
        assert set(await weights(story)) == three == {run.start_key for run in await story.target.inventory()}
        await story.request(f"{story.name}-sick", "3", **up)
        assert await story.outcome(f"{story.name}-sick") == "deployment.rolled_back"
        assert set(await weights(story)) == three == {run.start_key for run in await story.target.inventory()}


def lost(what, key):
    raise TargetUnreachable("nobody listens")


async def test_an_unreachable_target_is_left_for_the_next_and_cleaned_up_when_it_is_back(log_url):
    async with told(log_url, "fallback") as story:
        story.others["other"] = other = MemoryTarget()

        def lost_from_start_on(what, key):
            if what in ("start", "stop", "free", "retire"):
                lost(what, key)

        story.before = lost_from_start_on
        await story.request(story.new, "2", targets=["local", "other"])
        assert await story.outcome(story.new) == "deployment.completed"
        assert [run.start_key for run in await other.inventory()] == [f"{story.new}-start-t2"]
        front = await other.front(f"{story.name}-env--{story.name}-stack")
        assert front.weights == {f"{story.new}-start-t2": 1}
        assert (await story.saga(story.new)).delivered
        story.before = lambda what, key: None
        ended = await story.until(lambda: story.saga(story.new), lambda state: hasattr(state, "outcome"))
        assert {effect.key: effect.status for effect in ended.effects if effect.attempt == 1} == {
            f"{story.new}-allocate": "undone",
            f"{story.new}-start": "undone",
        }
        assert await story.target.inventory() == (), "what was live on the lost target is retired, too"


async def test_an_open_circuit_spares_the_next_deployment_the_attempts(log_url):
    async with told(log_url, "circuit") as story:
        story.others["other"] = MemoryTarget()
        story.before = lost
        await story.request(story.new, "2", targets=["local", "other"])
        assert await story.outcome(story.new) == "deployment.completed"
        environment = await story.environment()
        assert environment.circuits["local"].failures >= 2
        assert environment.circuits["local"].open_until is not None
