"""A deployment from its request to its outcome. What a canary does in between is in test_canary."""

from datetime import UTC, datetime

import msgspec
import pytest

from domain.canary import Approve, Look, Promote, Promoted, RecordMeasurement
from domain.deployment import (
    AttemptStarted,
    Cancel,
    CancellationRequested,
    CompensateStep,
    Complete,
    Completed,
    CompleteStep,
    ConcludeRollback,
    Failed,
    FailStep,
    HealthReported,
    Open,
    ReportHealth,
    Request,
    Requested,
    RollbackStarted,
    RolledBack,
    RolloutPolicy,
    SkipSteps,
    StartAttempt,
    StartRollback,
    StartStep,
    StepCompensated,
    StepCompleted,
    StepFailed,
    StepsSkipped,
    StepStarted,
    deployment,
)
from domain.environment import LiveRelease, Target
from domain.measurement import Counts, Sample
from domain.stack import ReleaseSpec
from domain.strategy import PLAIN, BlueGreen, Canary, CanaryStep, RollingUpdate, SwitchOver, steps_of
from tests.scenario import Scenario

release = ReleaseSpec("shop")
local, spare = Target("local"), Target("spare")
previous = LiveRelease("d0", "1.0", "local", 2, 1, ReleaseSpec("old-shop"))


def facts(strategy="switch_over", previous=previous, instances=3):
    """All that a request becomes, on two targets."""
    return (
        *("shop", "prod", "1.1", strategy, RolloutPolicy(), release, local),
        *(previous, (spare,), instances, local if previous else None),
    )


requested = Requested(*facts(SwitchOver()))
all_done = tuple(StepCompleted(step, "") for step in PLAIN)
rolling_back = RollbackStarted("health failed")
blue_green = Requested(*facts(BlueGreen()))
fallen_back = AttemptStarted(2, "spare", "connection refused")


def given(*events):
    return Scenario(deployment).given(requested, *events)


def test_a_deployment_is_opened_with_everything_it_needs():
    """Targets, instances and where the old release runs are on the record, and so is what the strategy stood for."""
    Scenario(deployment).when(Open(*facts())).then(requested)
    assert (requested.fallbacks, requested.instances, requested.previous_target) == ((spare,), 3, local)


def test_an_id_belongs_to_one_deployment():
    given().when(Open(*facts())).refused("deployment_already_requested")


def test_a_bare_request_is_never_decided_here():
    Scenario(deployment).when(Request("shop", "prod", "1.1")).refused("request_not_resolved")


def test_steps_start_and_complete_once():
    given().when(StartStep("validate")).then(StepStarted("validate"))
    given(StepStarted("validate")).when(StartStep("validate")).nothing_happens()
    given().when(CompleteStep("validate", "fine")).then(StepCompleted("validate", "fine"))
    given(StepCompleted("validate", "fine")).when(CompleteStep("validate", "fine")).nothing_happens()


def test_health_is_an_event_when_it_changes():
    given().when(ReportHealth(True, "200")).then(HealthReported(True, "200"))
    given(HealthReported(True, "200")).when(ReportHealth(True, "200")).nothing_happens()
    given(HealthReported(True, "200")).when(ReportHealth(False, "500")).then(HealthReported(False, "500"))


def test_a_deployment_completes_after_its_last_step():
    given(*all_done).when(Complete()).then(Completed("1.1"))
    given(*all_done[:-1]).when(Complete()).refused("steps_missing")


@pytest.mark.parametrize("strategy", [SwitchOver(), BlueGreen(), RollingUpdate(2), Canary(), Canary(baseline="stable")])
@pytest.mark.parametrize("live", [previous, None])
def test_every_step_of_the_strategy_must_be_done_or_skipped(strategy, live):
    steps = steps_of(strategy, 3, replaces=live is not None)
    opened = Requested(*facts(strategy, live))
    done = [StepCompleted(step, "") for step in steps]
    for missing in range(len(steps)):
        without = [opened, *done[:missing], *done[missing + 1 :]]
        Scenario(deployment).given(*without).when(Complete("url")).refused("steps_missing")
        skipped = StepsSkipped((steps[missing],), "not needed")
        Scenario(deployment).given(*without, skipped).when(Complete("url")).then(Completed("1.1", "url"))


def test_steps_are_skipped_with_a_reason():
    given().when(SkipSteps(("canary-2", "canary-3"), "proven")).then(StepsSkipped(("canary-2", "canary-3"), "proven"))


def test_the_next_target_is_a_new_attempt_from_the_beginning():
    given(*all_done[:3]).when(StartAttempt(2, "spare", "connection refused")).then(fallen_back)
    given(fallen_back).when(StartAttempt(2, "spare", "again")).nothing_happens()
    given(*all_done, fallen_back).when(Complete()).refused("steps_missing")
    given(fallen_back, *all_done).when(Complete()).then(Completed("1.1"))


@pytest.mark.parametrize("strategy", [BlueGreen(), Canary()])
def test_the_steps_of_an_attempt_are_those_for_what_is_live_on_its_target(strategy):
    """The old release runs on the first target: on the second there is nothing to keep, and nothing to compare with."""
    first = deployment.fold([Requested(*facts(strategy))])
    assert first.steps == steps_of(strategy, 3, replaces=True)
    assert deployment.fold([fallen_back], first).steps == steps_of(strategy, 3, False, elsewhere=True)
    moved = LiveRelease("d0", "1.0", "spare")
    elsewhere = deployment.fold([Requested(*facts(strategy, moved))])
    assert elsewhere.steps == steps_of(strategy, 3, False, elsewhere=True)
    assert deployment.fold([fallen_back], elsewhere).steps == steps_of(strategy, 3, replaces=True)


@pytest.mark.parametrize("word", [Approve("seen it"), Promote("seen it")])
def test_a_canary_where_nothing_can_be_compared_waits_for_the_word_of_a_person(word):
    moved = LiveRelease("d0", "1.0", "spare")
    waiting = Scenario(deployment).given(Requested(*facts(Canary(), moved)), StepStarted("gate"))
    waiting.when(word).then(Promoted("gate", "seen it"))
    passed = Scenario(deployment).given(
        Requested(*facts(Canary(), moved)), StepStarted("gate"), StepCompleted("gate", "")
    )
    passed.when(word).refused("nothing_to_watch")


def test_an_attempt_forgets_the_health_and_the_steps_of_the_one_before_but_not_that_it_was_cancelled():
    before = [StepStarted("health"), HealthReported(False, "500"), CancellationRequested("no")]
    state = deployment.fold([requested, *all_done[:3], *before, fallen_back])
    assert (state.attempt, state.step, state.done, state.healthy) == (2, None, (), None)
    assert state.cancelled == "no"


def test_a_person_ends_the_time_that_the_old_release_is_kept():
    kept = Scenario(deployment).given(blue_green, StepStarted("keep"))
    kept.when(Promote("looks good")).then(Promoted("keep", "looks good"))
    early = Scenario(deployment).given(blue_green, StepStarted("switch"))
    early.when(Promote()).refused("nothing_to_watch")


def test_what_is_cancelled_is_not_promoted_any_more():
    kept = Scenario(deployment).given(blue_green, StepStarted("keep"), CancellationRequested("no"))
    kept.when(Promote()).refused("cancellation_requested")


@pytest.mark.parametrize(
    "command",
    [
        Approve(),
        Promote(),
        RecordMeasurement("refunds", Sample(1, 0), Sample(1, 0)),
        Look(datetime(2026, 11, 21, tzinfo=UTC), "e", Counts(), Counts()),
    ],
)
def test_without_a_canary_in_traffic_there_is_nothing_to_watch(command):
    given(StepStarted("switch")).when(command).refused("nothing_to_watch")
    before = Scenario(deployment).given(Requested(*facts(Canary())), StepStarted("health"))
    before.when(command).refused("nothing_to_watch")
    Scenario(deployment).given(requested, rolling_back).when(command).refused("rollback_started")
    Scenario(deployment).given(requested, *all_done, Completed("1.1")).when(command).refused("deployment_ended")
    Scenario(deployment).when(command).refused("deployment_not_found")


def test_a_cancelled_deployment_does_not_complete():
    given(*all_done, CancellationRequested("changed my mind")).when(Complete()).refused("cancellation_requested")


def test_cancelling_asks_once():
    given().when(Cancel("no")).then(CancellationRequested("no"))
    given(CancellationRequested("no")).when(Cancel("no!")).nothing_happens()
    given(rolling_back).when(Cancel("no")).nothing_happens()


def test_what_has_ended_cannot_be_cancelled():
    given(*all_done, Completed("1.1")).when(Cancel("too late")).refused("deployment_ended")


def test_a_failed_step_leads_to_a_rollback():
    given().when(FailStep("health", "500")).then(StepFailed("health", "500"))
    given().when(StartRollback("health failed")).then(rolling_back)
    given(rolling_back).when(StartRollback("again")).nothing_happens()


def test_a_rollback_ends_with_the_previous_release_restored():
    given(rolling_back).when(CompensateStep("start", "stopped")).then(StepCompensated("start", "stopped"))
    given(rolling_back).when(ConcludeRollback()).then(RolledBack("health failed", previous))


def test_a_rollback_with_something_given_up_is_a_failure():
    given(rolling_back).when(ConcludeRollback(("d1-start",))).then(Failed("health failed", ("d1-start",)))


def test_there_is_no_way_forward_once_rolling_back():
    given(rolling_back).when(Complete()).refused("rollback_started")
    given(rolling_back).when(StartStep("switch")).refused("rollback_started")


def test_there_is_no_rollback_to_conclude_on_the_way_forward():
    given().when(ConcludeRollback()).refused("rollback_not_started")


def test_an_unknown_deployment_takes_no_reports():
    Scenario(deployment).when(StartStep("validate")).refused("deployment_not_found")
    Scenario(deployment).when(Cancel()).refused("deployment_not_found")


@pytest.mark.parametrize(
    "strategy", [SwitchOver(), BlueGreen(7.5), RollingUpdate(2), Canary((CanaryStep(5, gate=True),))]
)
def test_a_snapshot_keeps_a_rollout_under_way(strategy):
    events = [Requested(*facts(strategy)), StepStarted("health"), HealthReported(True, "200"), fallen_back]
    for number in range(len(events) + 1):
        state = deployment.fold(events[:number])
        assert msgspec.json.decode(msgspec.json.encode(state), type=deployment.states) == state
