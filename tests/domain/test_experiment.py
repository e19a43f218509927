"""An experiment: opened once, told of every step, ended once."""

import pytest

from domain.experiment import (
    Cancel,
    CancellationRequested,
    Champion,
    Conclude,
    Concluded,
    Dataset,
    DatasetAssembled,
    Decide,
    Decided,
    Evaluated,
    Open,
    Promoted,
    RecordDataset,
    RecordEvaluation,
    RecordTraining,
    ReportPromoted,
    Requested,
    RollbackStarted,
    Running,
    StartRollback,
    StartStep,
    StepStarted,
    Trained,
    experiment,
)
from domain.gate import Pairs, judge
from domain.model import Holdout
from domain.model_policy import ModelPolicy
from domain.pipeline import Feature, Pipeline
from tests.scenario import Scenario

WHAT = ("m", "2", "drift", "errors", (Feature("a"),), "label", Pipeline(), 0, ModelPolicy())
requested = Requested(*WHAT, None, Champion("1", "a" * 64), 300)
data = Dataset("m-2-data", "d" * 64, 500)
trained = Trained("b" * 64, 2_000, ("0", "1"), 350, 150, 0.4, {"scikit-learn": "1.9.1"})
evaluated = Evaluated({"accuracy": 0.9, "majority": 0.6}, Holdout(150, 15), {"accuracy": 0.8}, Pairs(110, 10, 25, 5))
judgement = judge(Pairs(300, 10, 40, 50), 20)
FORWARD = {
    "a step begins": (StartStep("train"), StepStarted("train")),
    "a dataset": (RecordDataset(data), DatasetAssembled(data)),
    "a training": (RecordTraining(trained), trained),
    "an evaluation": (RecordEvaluation(evaluated), evaluated),
    "the gate": (Decide("promote", "better", judgement), Decided("promote", "better", judgement)),
    "a promotion": (ReportPromoted(), Promoted()),
    "a happy end": (Conclude("promoted", "better"), Concluded("promoted", "better")),
}
cases = pytest.mark.parametrize(("command", "event"), FORWARD.values(), ids=FORWARD)


def running(*events):
    return Scenario(experiment).given(requested, *events)


def test_it_is_opened_once():
    opened = Open(*WHAT, None, Champion("1", "a" * 64), 300)
    Scenario(experiment).when(opened).then(requested)
    running().when(opened).refused("experiment_already_open")
    running(Concluded("discarded", "")).when(opened).refused("experiment_already_open")


@cases
def test_what_is_reported_is_recorded(command, event):
    running().when(command).then(event)


@cases
def test_nothing_goes_forward_after_a_cancellation(command, event):
    running(CancellationRequested("")).when(command).refused("cancellation_requested")


@cases
def test_nothing_goes_forward_on_the_way_back(command, event):
    running(RollbackStarted("worse")).when(command).refused("rollback_started")


@cases
def test_nothing_is_recorded_after_the_end(command, event):
    running(Concluded("discarded", "")).when(command).refused("experiment_ended")


@cases
def test_an_unknown_experiment_takes_no_reports(command, event):
    Scenario(experiment).when(command).refused("experiment_not_found")


def test_a_person_cancels_it_once():
    running().when(Cancel("enough")).then(CancellationRequested("enough"))
    running(CancellationRequested("enough")).when(Cancel("again")).nothing_happens()


def test_what_is_on_its_way_back_need_not_be_cancelled():
    running(RollbackStarted("worse")).when(Cancel("enough")).nothing_happens()


def test_what_has_ended_or_never_was_cannot_be_cancelled():
    running(Concluded("promoted", "")).when(Cancel()).refused("experiment_ended")
    Scenario(experiment).when(Cancel()).refused("experiment_not_found")


@pytest.mark.parametrize("before", [(), (CancellationRequested(""),)], ids=["on its way", "cancelled"])
def test_the_way_back_begins_once_and_ends(before):
    running(*before).when(StartRollback("worse")).then(RollbackStarted("worse"))
    running(*before, RollbackStarted("worse")).when(StartRollback("worse")).nothing_happens()
    running(*before, RollbackStarted("worse")).when(Conclude("rolled_back", "worse")).then(
        Concluded("rolled_back", "worse")
    )


def test_what_the_gate_refused_ends_discarded_also_when_it_is_cancelled_meanwhile():
    refused = Decided("discard", "not better", None)
    for events in ((refused,), (refused, CancellationRequested(""))):
        running(*events).when(Conclude("discarded", "not better")).then(Concluded("discarded", "not better"))


def test_it_ends_in_one_way_only():
    ended = Concluded("discarded", "not better")
    running(ended).when(Conclude("discarded", "not better")).nothing_happens()
    running(ended).when(Conclude("promoted", "")).refused("experiment_ended")


def test_the_state_knows_what_the_steps_need():
    events = [event for _, event in FORWARD.values() if not isinstance(event, Concluded)]
    state = experiment.fold([requested, *events])
    assert state == Running(requested, "train", data, trained, evaluated, promoted=True)
