"""The deployment saga as a pure process: whatever happens, in whatever order, it ends in a right state."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import deployment, environment, saga
from domain.deployment import STEPS, RolloutPolicy
from domain.environment import LiveRelease, Target
from domain.stack import ReleaseSpec
from sagas.definition import Cancelled, Decision, Done, Exhausted, Perform, Rejected, Stumbled, TimedOut
from sagas.deployment import Rollout, plan, react

previous = LiveRelease("d0", "1.0", "local")


def running(previous=previous) -> saga.Running:
    rollout = Rollout("d1", "shop", "prod", "1.1", RolloutPolicy(), ReleaseSpec("shop"), Target("local"), previous)
    started = saga.Started("deployment", "deployment/d1", STEPS, msgspec.Raw(msgspec.json.encode(rollout)))
    return saga.evolve(saga.NotStarted(), started)


class World:
    """Carries out the plan in memory, the way the runner does, and remembers what was told and performed."""

    def __init__(self, state=None):
        self.state = state or running()
        self.deployment = deployment.deployment.fold([_requested(previous)])
        self.events, self.told, self.performed = [], [], []

    def record(self, decision: Decision):
        for event in decision.events:
            self.state = saga.evolve(self.state, event)
            self.events.append(event)
        self.told += [told.command for told in decision.commands]

    def tell(self, outcome):
        if isinstance(self.state, saga.Running):
            self.record(react(self.state, outcome))

    def step(self, outcome_of=lambda what: Done(what, "ok")) -> bool:
        """One turn; False when the saga waits or has ended."""
        if not isinstance(self.state, saga.Running):
            return False
        match plan(self.state):
            case None:
                return False
            case Decision() as decision:
                self.record(decision)
            case Perform() as what:
                self.performed.append(what)
                self.tell(outcome_of(what))
        return True

    def run(self, outcome_of=lambda what: Done(what, "ok")):
        for _ in range(200):
            if not self.step(outcome_of):
                return self
        raise AssertionError("the saga does not come to rest")


def _requested(previous):
    return deployment.Requested(
        "shop", "prod", "1.1", "switch_over", RolloutPolicy(), ReleaseSpec("shop"), Target("local"), previous
    )


def failing(*operations):
    return lambda what: Rejected(what, "broken") if what.operation in operations else Done(what, "ok")


def test_every_step_in_order_and_then_completed():
    world = World().run()
    assert [what.operation for what in world.performed] == [*STEPS]
    assert world.state.outcome == "completed"
    assert environment.SettleRollout("shop", "d1", LiveRelease("d1", "1.1", "local")) in world.told


def test_nothing_to_retire_the_first_time():
    world = World(running(previous=None)).run()
    assert [what.key for what in world.performed if what.step == "retire"] == [None]
    assert world.state.outcome == "completed"


@pytest.mark.parametrize("step", STEPS)
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
    world = World().run(lambda what: Exhausted(what, "away") if what.operation == "start" else Done(what, "ok"))
    assert world.state.paused
    assert world.state.effect("d1-start").status == "unknown"
    world.record(Decision(saga.decide(saga.Resume(), world.state)))
    assert world.run().state.outcome == "completed"


def test_cancelling_a_paused_saga_runs_the_compensations():
    world = World().run(lambda what: Exhausted(what, "away") if what.operation == "start" else Done(what, "ok"))
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


outcomes = st.sampled_from(["done", "done", "done", "rejected", "stumbled", "exhausted"])
interruptions = st.sampled_from([None, None, None, None, "cancel", "timeout", "resume", "waive"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(outcomes, interruptions), max_size=80))
def test_a_saga_never_ends_with_an_open_effect(script):
    """For any course of events: an ended saga has settled every effect, and every open one has an undo planned."""
    world = World()
    for outcome, interruption in script:
        _interrupt(world, interruption)
        world.step(lambda what, outcome=outcome: _outcome(what, outcome))
        if isinstance(world.state, saga.Ended):
            statuses = {effect.status for effect in world.state.effects}
            assert not statuses & saga.OPEN
            if world.state.outcome == "compensated":
                assert statuses <= {"undone", "waived"}
            else:
                assert statuses == {"kept"}
            return
        planned = [what.key for what in world.performed if what.key and not what.undo]
        assert set(planned) <= {effect.key for effect in world.state.effects}


def _outcome(what, outcome):
    match outcome:
        case "done":
            return Done(what, "ok")
        case "rejected":
            return Rejected(what, "no")
        case "stumbled":
            return Stumbled(what, 1, 0.1, "away")
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
        case "resume" if state.paused:
            world.record(Decision(saga.decide(saga.Resume(), state)))
        case "waive" if state.paused and state.compensating and state.effects:
            decided = saga.decide(saga.WaiveEffect(state.effects[-1].key, "by hand"), state)
            world.record(Decision(decided if isinstance(decided, tuple) else ()))
        case _:
            pass
