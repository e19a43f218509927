from domain.deployment import (
    STEPS,
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
    StartRollback,
    StartStep,
    StepCompensated,
    StepCompleted,
    StepFailed,
    StepStarted,
    deployment,
)
from domain.environment import LiveRelease, Target
from domain.stack import ReleaseSpec
from tests.scenario import Scenario

release = ReleaseSpec("shop")
previous = LiveRelease("d0", "1.0", "local")
facts = ("shop", "prod", "1.1", "switch_over", RolloutPolicy(), release, Target("local"), previous)
requested = Requested(*facts)
all_done = tuple(StepCompleted(step, "") for step in STEPS)
rolling_back = RollbackStarted("health failed")


def given(*events):
    return Scenario(deployment).given(requested, *events)


def test_a_deployment_is_opened_with_everything_it_needs():
    Scenario(deployment).when(Open(*facts)).then(requested)


def test_an_id_belongs_to_one_deployment():
    given().when(Open(*facts)).refused("deployment_already_requested")


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
