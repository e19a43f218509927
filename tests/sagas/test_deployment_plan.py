"""The deployment saga as a pure process: whatever happens, in whatever order, it ends in a right state."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import canary, deployment, environment, saga
from domain.deployment import RolloutPolicy
from domain.environment import LiveRelease, Target
from domain.measurement import Counts
from domain.stack import ReleaseSpec
from domain.strategy import PLAIN, BlueGreen, Canary, CanaryStep, RollingUpdate
from eventstore.envelope import StreamId
from sagas.course import actions, roles
from sagas.definition import (
    Cancelled,
    Decision,
    Done,
    Exhausted,
    Heard,
    Perform,
    Rejected,
    Stumbled,
    TimedOut,
    Told,
    Unreachable,
)
from sagas.deployment import attempt_of, listens, plan, react, rollout_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
OLD = ReleaseSpec("old-shop")
NEW = ReleaseSpec("shop")
previous = LiveRelease("d0", "1.0", "local", release=OLD)
FINE = Counts(400, 0, 0, {50: 400})
BROKEN = Counts(400, 80, 80, {50: 400})


def requested(strategy="switch_over", previous=previous, fallbacks=(), instances=1):
    local = Target("local")
    return deployment.Requested(
        "shop", "prod", "1.1", strategy, RolloutPolicy(), NEW, local, previous, fallbacks, instances, local
    )


class Event:
    """As much of a recorded event as a saga listens to."""

    stream = StreamId("deployment", "d1")


class World:
    """Carries out the plan in memory, the way the runner does, and remembers what was told and performed.

    The deployment hears its reports and judges; what it says comes back as news. Every look finds `seen` of either
    arm, a minute after the one before.
    """

    def __init__(self, *, seen=(FINE, FINE), **request):
        opened = requested(**request)
        _, started = listens(Event, opened)
        self.state = saga.evolve(saga.NotStarted(), started)
        self.deployment = deployment.deployment.fold([opened])
        self.seen, self.looks, self.now = seen, 0, NOW
        self.events, self.told, self.performed, self.refused, self.news = [], [], [], [], []

    def record(self, decision: Decision):
        for event in decision.events:
            self.state = saga.evolve(self.state, event)
            self.events.append(event)
        for told in decision.commands:
            self.told.append(told.command)
            if told.category == "deployment":
                self.say(told.command)

    def say(self, command):
        """To the deployment; the news of it go to the saga."""
        decided = deployment.decide(command, self.deployment)
        if not isinstance(decided, tuple):
            self.refused.append((command, decided))
            return
        for event in decided:
            self.deployment = deployment.evolve(self.deployment, event)
            if isinstance(event, canary.Judged | canary.Promoted):
                self.news.append(Heard(event))

    def tell(self, outcome):
        if isinstance(self.state, saga.Running):
            self.record(react(self.state, outcome))

    def step(self, outcome_of=None) -> bool:
        """One turn; False when the saga waits or has ended."""
        if self.news:
            self.tell(self.news.pop(0))
            return True
        if not isinstance(self.state, saga.Running):
            return False
        match plan(self.state):
            case None:
                return False
            case Decision() as decision:
                self.record(decision)
            case Perform() as what:
                self.performed.append(what)
                self.tell((outcome_of or self.done)(what))
        return True

    def done(self, what):
        """What a target that works makes of it."""
        if what.operation == "look":
            self.looks += 1
            self.now += timedelta(minutes=1)
            mine, baseline = (_times(counts, self.looks) for counts in self.seen)
            return Done(what, "looked", (Told("deployment", "d1", canary.Look(self.now, "e", mine, baseline)),))
        if what.operation == "keep":
            return TimedOut("keep-timeout")
        if what.step.startswith("canary") and not what.undo:
            shares = roles(attempt_of(self.state), rollout_of(self.state).canary, what.step)
            return Done(what, "url", (Told("deployment", "d1", canary.ShiftTraffic(what.step, shares, self.now)),))
        return Done(what, "ok")

    def run(self, outcome_of=None, until=lambda world: False):
        for _ in range(400):
            if until(self) or not self.step(outcome_of):
                return self
        raise AssertionError("the saga does not come to rest")

    def done_in(self, step):
        return [what.operation for what in self.performed if what.step == step and not what.undo]


def _times(counts: Counts, number: int) -> Counts:
    return Counts(
        counts.requests * number,
        counts.errors * number,
        counts.incidents * number,
        {bucket: answers * number for bucket, answers in counts.latency.items()},
    )


def failing(*operations):
    return lambda what: Rejected(what, "broken") if what.operation in operations else Done(what, "ok")


def away(*operations):
    return lambda what: Exhausted(what, "away") if what.operation in operations else Done(what, "ok")


def test_every_step_in_order_and_then_completed():
    world = World().run()
    assert [what.operation for what in world.performed] == [*PLAIN]
    assert world.state.outcome == "completed"
    assert environment.SettleRollout("shop", "d1", LiveRelease("d1", "1.1", "local", release=NEW)) in world.told


def test_nothing_to_retire_the_first_time():
    world = World(previous=None).run()
    assert [what.key for what in world.performed if what.step == "retire"] == [None]
    assert world.state.outcome == "completed"


@pytest.mark.parametrize("step", PLAIN)
def test_a_failing_step_undoes_what_was_done_in_reverse(step):
    world = World().run(failing(step))
    done = [what.step for what in world.performed if not what.undo]
    undone = [what.step for what in world.performed if what.undo]
    assert undone == [name for name in reversed(done) if name in ("allocate", "start", "switch", "retire")]
    assert world.state.outcome == "compensated"
    assert environment.SettleRollout("shop", "d1", previous) in world.told
    assert deployment.ConcludeRollback(()) in world.told


def test_a_timeout_of_the_step_under_way_rolls_back():
    world = World()
    for _ in range(4):
        world.step()
    step = world.state.step or plan(world.state)
    world.step() if world.state.step is None else None
    world.tell(TimedOut(f"{world.state.step}-timeout"))
    assert world.state.compensating is not None, step
    assert world.run().state.outcome == "compensated"


def test_a_late_timeout_changes_nothing():
    world = World()
    while "allocate" not in world.state.completed:
        world.step()
    before = world.state
    world.tell(TimedOut("allocate-timeout"))
    assert world.state == before


def test_a_stumble_is_counted_and_tried_again():
    world = World()
    while not world.performed:
        world.step(lambda what: Stumbled(what, 1, 0.5, "away"))
    assert world.state.attempts == 1
    assert world.run().state.outcome == "completed"


def test_exhausted_retries_pause_with_an_unknown_effect_and_a_person_resumes():
    world = World().run(away("start"))
    assert world.state.paused
    assert world.state.effect("d1-start").status == "unknown"
    world.record(Decision(saga.decide(saga.Resume(), world.state)))
    assert world.run().state.outcome == "completed"


def test_cancelling_a_paused_saga_runs_the_compensations():
    world = World().run(away("start"))
    world.tell(Cancelled("enough"))
    assert world.run().state.outcome == "compensated"
    assert {effect.status for effect in world.state.effects} == {"undone"}


def test_a_failing_compensation_alarms_and_waits_for_a_person():
    world = World().run(failing("health", "stop"))
    assert any(isinstance(event, saga.CompensationFailed) for event in world.events)
    assert world.state.paused
    world.record(Decision(saga.decide(saga.WaiveEffect("d1-start", "killed by hand"), world.state)))
    assert world.run().state.outcome == "compensated"
    assert deployment.ConcludeRollback(("d1-start",)) in world.told


CANARY = Canary(steps=(CanaryStep(5, requests=800), CanaryStep(25, requests=4000), CanaryStep(50)))
GATED = Canary(steps=(CanaryStep(10, gate=True), CanaryStep(50, gate=True)))


def test_a_canary_that_does_no_harm_is_promoted_early():
    world = World(strategy=CANARY).run()
    assert world.state.outcome == "completed"
    assert world.deployment.outcome == "completed"
    assert world.refused == []
    assert world.looks <= 12
    assert not any(what.step == "canary-3" for what in world.performed), "the last step was not needed"
    assert [what.operation for what in world.performed][-3:] == ["switch", "retire", "retire"]


def test_a_canary_has_a_fresh_baseline_of_the_old_release_with_the_same_weight():
    world = World(strategy=CANARY).run(until=lambda world: world.looks)
    attempt = attempt_of(world.state)
    [start] = [action for action in actions(attempt, "baseline") if action.operation == "start"]
    assert start.release == OLD
    [switch] = actions(attempt, "canary-2")
    assert dict(switch.weights) == {"d1-start": 25, "d0-start": 50, "d1-start-b": 25}


def test_a_wrong_canary_is_rolled_back_in_its_first_step():
    world = World(strategy=CANARY, seen=(BROKEN, FINE)).run()
    assert world.state.outcome == "compensated"
    assert world.deployment.outcome == "rolled_back"
    assert not any(what.step == "canary-2" for what in world.performed)
    assert {effect.status for effect in world.state.effects} == {"undone"}


def test_without_requests_a_canary_waits_for_ever_and_is_never_promoted():
    world = World(strategy=Canary(steps=(CanaryStep(5, requests=0),)), seen=(Counts(), Counts()))
    with pytest.raises(AssertionError, match="come to rest"):
        world.run()
    assert world.deployment.watch.decision == "await_approval"
    assert world.state.waiting


def test_a_gate_waits_for_a_person_however_good_the_canary_is():
    waiting = lambda world: getattr(world.deployment, "watch", None) and world.state.waiting  # noqa: E731
    world = World(strategy=GATED).run(until=waiting)
    assert world.state.step == "canary-1"
    world.say(canary.Approve("looks good"))
    world.step()
    world.run(until=waiting)
    assert world.state.step == "canary-2"
    world.say(canary.Approve(""))
    assert world.run().state.outcome == "completed"


def test_while_a_person_is_waited_for_harm_still_rolls_back():
    world = World(strategy=GATED).run(until=lambda world: world.state.waiting)
    world.seen = (BROKEN, FINE)
    assert world.run().state.outcome == "compensated"


def test_a_person_may_promote_at_any_time():
    world = World(strategy=CANARY, seen=(Counts(), Counts())).run(until=lambda world: world.looks == 2)
    world.say(canary.Promote("an emergency"))
    world.run()
    assert world.state.outcome == "completed"
    assert world.state.effects[-1].operation == "retire"


def test_a_verdict_heard_twice_or_late_changes_nothing():
    world = World(strategy=CANARY).run(until=lambda world: world.state.completed[-1:] == ("canary-1",))
    before = world.state
    heard = next(event for event in world.events if isinstance(event, saga.VerdictHeard))
    world.tell(Heard(canary.Judged(heard.number, "canary-1", "roll_back", "late", None)))
    assert world.state == before


def test_the_first_release_of_all_has_nothing_to_be_compared_with():
    world = World(strategy=CANARY, previous=None).run()
    assert [what.operation for what in world.performed] == [*PLAIN]
    assert world.state.outcome == "completed"


def test_blue_green_keeps_the_old_release_until_its_time_is_up():
    world = World(strategy=BlueGreen(keep=60)).run()
    assert [what.operation for what in world.performed] == [*PLAIN[:5], "keep", "keep-health", "retire"]
    assert world.state.outcome == "completed"


def test_blue_green_moves_back_at_once_while_the_old_release_is_kept():
    world = World(strategy=BlueGreen()).run(until=lambda world: world.state.step == "keep")
    performed = len(world.performed)
    world.tell(Cancelled("complaints"))
    world.step()
    assert world.performed[performed].operation == "switch_back", "before anything else"
    assert world.run().state.outcome == "compensated"


def test_a_kept_release_is_let_go_early_by_a_person():
    world = World(strategy=BlueGreen()).run(until=lambda world: world.state.step == "keep")
    world.say(canary.Promote("all is well"))
    assert world.run().state.outcome == "completed"
    assert world.refused == []


def test_a_kept_release_is_not_let_go_before_the_new_one_is_seen_well():
    away_then = lambda what: Stumbled(what, 1, 0.1, "away") if what.operation == "keep-health" else None  # noqa: E731
    world = World(strategy=BlueGreen()).run(until=lambda world: world.state.step == "keep-health")
    world.step(away_then)
    assert world.state.step == "keep-health"
    assert world.run(failing("keep-health")).state.outcome == "compensated"


CANARY_ELSEWHERE = LiveRelease("d0", "1.0", "other", release=OLD)


def test_a_canary_away_from_the_live_release_waits_for_a_person():
    world = World(strategy=CANARY, previous=CANARY_ELSEWHERE).run()
    assert world.state.step == "gate"
    assert not any(what.operation == "switch" for what in world.performed)
    world.say(canary.Promote("nothing to compare with"))
    assert world.run().state.outcome == "completed"


def test_a_fallback_does_not_get_a_canary_past_its_evidence():
    world = World(strategy=CANARY, fallbacks=(FALLBACK,))
    world.run(until=lambda world: "start" in world.state.completed)
    world.run(unreachable())
    assert (world.state.attempt, world.state.step) == (2, "gate")


def test_a_canary_of_several_instances_has_as_many_baselines():
    old = LiveRelease("d0", "1.0", "local", instances=2, release=OLD)
    world = World(strategy=CANARY, instances=3, previous=old).run(until=lambda world: world.looks)
    [switch] = actions(attempt_of(world.state), "canary-2")
    shares = {key: weight / sum(switch.weights.values()) for key, weight in switch.weights.items()}
    assert {key: round(share, 4) for key, share in shares.items()} == {
        **dict.fromkeys(("d1-start", "d1-start-2", "d1-start-3"), round(0.25 / 3, 4)),
        **dict.fromkeys(("d0-start", "d0-start-2"), 0.25),
        **dict.fromkeys(("d1-start-b", "d1-start-b2", "d1-start-b3"), round(0.25 / 3, 4)),
    }


def test_what_is_left_to_retire_on_a_lost_target_can_be_given_up():
    world = World(fallbacks=(FALLBACK,), previous=LiveRelease("d0", "1.0", "local", release=OLD))
    world.run(until=lambda world: world.state.step == "allocate")
    refused = lambda what: Rejected(what, "gone") if world.state.delivered else unreachable()(what)  # noqa: E731
    world.run(refused)
    assert world.state.paused
    world.record(Decision(saga.decide(saga.WaiveEffect("d1-retire-t2", "scrap"), world.state)))
    world.run(lambda what: Done(what, "ok"))
    assert world.state.outcome == "completed"


def test_an_unhealthy_green_is_moved_back():
    broken = failing("keep")
    assert World(strategy=BlueGreen()).run(broken).state.outcome == "compensated"


def test_a_rolling_update_replaces_a_batch_at_a_time():
    old = LiveRelease("d0", "1.0", "local", instances=3, release=OLD)
    world = World(strategy=RollingUpdate(batch=2), instances=4, previous=old)
    attempt = attempt_of(world.state)
    assert [dict(action.weights) for n in (1, 2) for action in actions(attempt, f"switch-{n}")] == [
        {"d1-start": 1, "d1-start-2": 1, "d0-start-2": 1, "d0-start-3": 1},
        {"d1-start": 1, "d1-start-2": 1, "d1-start-3": 1, "d1-start-4": 1},
    ]
    assert [action.retires for n in (1, 2) for action in actions(attempt, f"retire-{n}")] == [
        "d0-start",
        "d0-start-2",
        "d0-start-3",
    ]
    assert world.run().state.outcome == "completed"
    assert environment.SettleRollout("shop", "d1", LiveRelease("d1", "1.1", "local", 4, 1, NEW)) in world.told


FALLBACK = Target("other")


def unreachable(where=1, *, still=lambda: True):
    def outcome(what):
        if what.attempt != where or not still():
            return Done(what, "ok")
        return Stumbled(what, 1, 0.1, "away") if what.undo else Unreachable(what, "away")

    return outcome


def test_a_target_that_cannot_be_reached_is_left_for_the_next_one():
    world = World(fallbacks=(FALLBACK,), previous=None).run(until=lambda world: world.state.step == "start")
    down = True
    world.run(unreachable(still=lambda: down), until=lambda world: world.state.delivered)
    assert world.deployment.outcome == "completed", "the outcome does not wait for what is left to undo"
    assert environment.SettleRollout("shop", "d1", LiveRelease("d1", "1.1", "other", 1, 2, NEW)) in world.told
    down = False
    assert world.run().state.outcome == "completed"


def test_what_the_first_attempt_left_is_undone_when_its_target_is_back():
    down = False
    world = World(fallbacks=(FALLBACK,), previous=None)
    world.run(until=lambda world: "start" in world.state.completed)
    down = True
    world.run(unreachable(still=lambda: down), until=lambda world: world.state.delivered)
    down = False
    world.run(unreachable(still=lambda: down))
    ended = {effect.key: effect.status for effect in world.state.effects}
    assert {ended["d1-allocate"], ended["d1-start"]} == {"undone"}
    assert {status for key, status in ended.items() if key.endswith("-t2")} == {"kept"}


def test_the_old_release_on_the_lost_target_is_retired_afterwards():
    world = World(fallbacks=(FALLBACK,)).run(lambda what: unreachable()(what), until=lambda w: w.state.delivered)
    world.run()
    assert ("retire", "d1-retire-t2") in [(what.operation, what.key) for what in world.performed]
    assert world.state.outcome == "completed"


def test_a_person_may_give_up_on_what_a_lost_target_holds():
    world = World(fallbacks=(FALLBACK,), previous=None)
    world.run(until=lambda world: "start" in world.state.completed)
    world.run(unreachable(), until=lambda world: world.state.delivered)
    for key in ("d1-start", "d1-allocate"):
        world.record(Decision(saga.decide(saga.WaiveEffect(key, "the machine is scrap"), world.state)))
    assert world.run(unreachable()).state.outcome == "completed"


def test_the_last_target_is_not_given_up():
    away_for_good = lambda what: Exhausted(what, "away") if what.attempt == 2 else Unreachable(what, "away")  # noqa: E731
    world = World(fallbacks=(FALLBACK,), previous=None).run(away_for_good)
    assert world.state.paused


outcomes = st.sampled_from(["done"] * 8 + ["rejected", "stumbled", "exhausted", "unreachable"])
interruptions = st.sampled_from([None] * 8 + ["cancel", "timeout", "resume", "waive", "promote", "approve"])


strategies = st.sampled_from(["switch_over", "blue_green", RollingUpdate(1), CANARY, GATED])


@settings(max_examples=160, deadline=None)
@given(
    st.lists(st.tuples(outcomes, interruptions), max_size=120),
    strategies,
    st.sampled_from([None, previous]),
    st.sampled_from([(), (FALLBACK,)]),
    st.sampled_from([(FINE, FINE), (BROKEN, FINE)]),
)
def test_a_saga_never_ends_with_an_open_effect(script, strategy, live, fallbacks, seen):
    """For any course of events: an ended saga has settled every effect, and every open one has an undo planned."""
    world = World(strategy=strategy, previous=live, fallbacks=fallbacks, seen=seen, instances=2)
    for outcome, interruption in script:
        _interrupt(world, interruption)
        world.step(lambda what, outcome=outcome: _outcome(world, what, outcome))
        if isinstance(world.state, saga.Ended):
            _assert_settled(world.state)
            return
        planned = [what.key for what in world.performed if what.key and not what.undo]
        assert set(planned) <= {effect.key for effect in world.state.effects}


def _assert_settled(ended):
    last = max((effect.attempt for effect in ended.effects), default=1)
    for effect in ended.effects:
        kept = ended.outcome == "completed" and effect.attempt == last
        assert effect.status in (("kept",) if kept else ("undone", "waived"))


def _outcome(world, what, outcome):
    match outcome:
        case "done":
            return world.done(what)
        case "rejected":
            return Rejected(what, "no")
        case "stumbled":
            return Stumbled(what, 1, 0.1, "away")
        case "unreachable" if not what.undo and what.attempt < len(rollout_of(world.state).targets):
            return Unreachable(what, "away") if not world.state.delivered else Stumbled(what, 1, 0.1, "away")
        case _:
            return Exhausted(what, "away")


def _interrupt(world, interruption):
    state = world.state
    if not isinstance(state, saga.Running):
        return
    match interruption:
        case "cancel":
            world.tell(Cancelled("no"))
        case "timeout":
            world.tell(TimedOut(f"{state.step}-timeout"))
        case "promote":
            world.say(canary.Promote(""))
        case "approve":
            world.say(canary.Approve(""))
        case "resume" if state.paused:
            world.record(Decision(saga.decide(saga.Resume(), state)))
        case "waive" if state.effects:
            decided = saga.decide(saga.WaiveEffect(state.effects[-1].key, "by hand"), state)
            world.record(Decision(decided if isinstance(decided, tuple) else ()))
        case _:
            pass
