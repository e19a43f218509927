"""What is recorded of a model in use: labels as people give them, and what the observer finds out."""

import msgspec
import pytest
from msgspec import structs

from domain import gate
from domain.drift import FeatureWindow, Thresholds, Verdict, Window
from domain.model import Holdout
from domain.model_policy import Monitoring
from domain.monitor import (
    Began,
    Begin,
    Compared,
    ComparisonJudged,
    InputsObserved,
    Judged,
    Label,
    LabelsRecorded,
    ObserveInputs,
    ObserveOutcomes,
    OutcomesObserved,
    RecordLabels,
    State,
    Watching,
    monitor,
)
from tests.scenario import Scenario

A, B, C = "a" * 64, "b" * 64, "c" * 64
THRESHOLDS = Thresholds(30_000.0, 90_000.0, 0.001, 0.01)
began = Began("1", A, Holdout(300, 30), Monitoring(), THRESHOLDS, "drift-1", 0)
next_began = Began("2", B, Holdout(300, 20), Monitoring(), THRESHOLDS, "drift-1", 40)
labels = (Label("b1.0", "yes"), Label("b1.1", "no"))
window = Window(1, 500, 500, {"age": FeatureWindow("ks", 0.1, 0.2, 0.01)})
drifted = Verdict("feature", "age", "ks", 500, 1e-9, 0.01, {"effect": 0.3})
failing = Verdict("errors", "", "e-detector", 80, 11.5, 11.4, {"rows": 80.0})
inputs = ObserveInputs(1, 1, 10, 9, B, (window,), (drifted,))
outcomes = ObserveOutcomes(1, 1, 1, rows=2, wrong=1, of_version=2, unmatched=3, content=C)
compared = Compared("m-2", "shadow", "2", gate.judge(gate.Pairs(both=2), 20))


def begin(event: Began) -> Begin:
    return Begin(*structs.astuple(event))


def observed(number: int, first: int, last: int, version: str = "1") -> InputsObserved:
    return InputsObserved(number, version, first, last, last - first + 1, B, ())


def labelled(number: int, labels_to: int, rows: int = 2) -> OutcomesObserved:
    return OutcomesObserved(number, "1", labels_to, rows, 1, rows, 0, C)


def test_labels_are_recorded_as_they_are_given_also_before_anything_is_observed():
    Scenario(monitor).when(RecordLabels(labels)).then(LabelsRecorded(labels))
    Scenario(monitor).given(began).when(RecordLabels(labels)).then(LabelsRecorded(labels))


@pytest.mark.parametrize("id", ["b1", "b1.", "b1.1234567", "b 1.1", "b.1.1", ""])
def test_a_prediction_is_named_by_its_batch_and_row(id: str):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"prediction": id, "label": "yes"}, Label)


def test_a_version_in_use_brings_its_reference_and_its_thresholds():
    Scenario(monitor).when(begin(began)).then(began)
    Scenario(monitor).given(began).when(begin(next_began)).then(next_began)


def test_the_same_version_begins_anew_when_it_came_back_or_is_to_be_watched_otherwise():
    stricter = structs.replace(began, monitoring=Monitoring(window=100))
    Scenario(monitor).given(began).when(begin(stricter)).then(stricter)
    Scenario(monitor).given(began).when(begin(began)).then(began)


def test_a_version_that_came_into_use_before_the_one_that_is_watched_is_not_begun_with():
    """An observer that has not heard of the promotion yet."""
    known = structs.replace(next_began, turn=9)
    late = begin(structs.replace(began, turn=5))
    Scenario(monitor).given(known).when(late).refused("later_version_watched")
    Scenario(monitor).given(known).when(structs.replace(late, turn=9)).then(structs.replace(began, turn=9))


@pytest.mark.parametrize("command", [inputs, outcomes])
def test_nothing_is_observed_before_a_version_is_in_use(command):
    Scenario(monitor).when(command).refused("not_monitored")


def test_inputs_windows_and_their_drift_are_recorded_together():
    Scenario(monitor).given(began).when(inputs).then(
        InputsObserved(1, "1", 1, 10, 9, B, (window,)), Judged(1, "1", 1, drifted, "drift-1")
    )


def test_verdicts_and_observations_are_numbered_through():
    twice = structs.replace(inputs, first=21, last=30, windows=(), verdicts=(drifted, failing))
    known = (began, observed(1, 1, 10), Judged(1, "1", 1, drifted, "drift-1"), observed(2, 11, 20))
    Scenario(monitor).given(*known).when(twice).then(
        InputsObserved(3, "1", 21, 30, 9, B, ()),
        Judged(2, "1", 3, drifted, "drift-1"),
        Judged(3, "1", 3, failing, "drift-1"),
    )


@pytest.mark.parametrize("first", [1, 10])
def test_no_prediction_is_observed_twice(first: int):
    again = structs.replace(inputs, first=first, last=12)
    Scenario(monitor).given(began, observed(1, 1, 10)).when(again).refused("already_observed")


def test_predictions_of_before_are_not_observed_by_a_later_version():
    late = structs.replace(inputs, beginning=2)
    Scenario(monitor).given(began, next_began).when(structs.replace(late, first=40)).refused("already_observed")
    Scenario(monitor).given(began, next_began).when(structs.replace(late, first=41, last=45, verdicts=())).then(
        InputsObserved(1, "2", 41, 45, 9, B, (window,))
    )


def test_positions_may_begin_anew_with_another_beginning():
    """The stream of predictions is not the log: it may have been lost."""
    anew = structs.replace(began, after=0)
    late = structs.replace(inputs, beginning=2, first=1, verdicts=())
    Scenario(monitor).given(began, observed(1, 1, 10), anew).when(late).then(
        InputsObserved(2, "1", 1, 10, 9, B, (window,))
    )


@pytest.mark.parametrize("command", [inputs, outcomes])
def test_what_comes_from_the_detectors_of_another_beginning_is_refused(command):
    """Two observers at once: one has not heard of the promotion yet."""
    Scenario(monitor).given(began, next_began).when(structs.replace(command, beginning=1)).refused("reference_changed")
    Scenario(monitor).given(began).when(structs.replace(command, beginning=2)).refused("reference_changed")


def test_outcomes_drift_of_errors_and_the_comparison_are_recorded_together():
    told = structs.replace(outcomes, verdicts=(failing,), compared=compared)
    Scenario(monitor).given(began, LabelsRecorded(labels)).when(told).then(
        OutcomesObserved(1, "1", 1, 2, 1, 2, 3, C),
        Judged(1, "1", 1, failing, "drift-1"),
        ComparisonJudged(1, compared),
    )


def test_errors_of_the_version_in_use_are_told_apart_from_those_of_other_versions():
    mixed = structs.replace(outcomes, rows=5, wrong=4, wrong_of_version=1)
    told = OutcomesObserved(1, "1", 1, 5, 4, 2, 3, C, 1)
    Scenario(monitor).given(began).when(mixed).then(told)
    before_that_was_told = structs.replace(told, wrong_of_version=None)
    assert (told.errors, before_that_was_told.errors) == (1, None)
    assert structs.replace(before_that_was_told, rows=2, wrong=2).errors == 2, "all are of that version"


def test_comparisons_are_numbered_through():
    told = structs.replace(outcomes, labels_from=5, labels_to=9, compared=compared)
    known = (began, labelled(1, 4), ComparisonJudged(1, compared))
    Scenario(monitor).given(*known).when(told).then(
        OutcomesObserved(2, "1", 9, 2, 1, 2, 3, C), ComparisonJudged(2, compared)
    )


@pytest.mark.parametrize("labels_from", [3, 4])
def test_no_label_is_observed_twice(labels_from: int):
    again = structs.replace(outcomes, labels_from=labels_from, labels_to=9)
    Scenario(monitor).given(began, labelled(1, 4)).when(again).refused("already_observed")


def test_the_state_says_how_far_was_read_and_counts():
    known = (began, observed(1, 1, 10), labelled(1, 4, rows=5), next_began, observed(2, 45, 50), labelled(2, 9, rows=7))
    assert monitor.fold(known) == Watching(
        next_began, inputs_to=50, beginnings=2, labels_to=9, inputs=2, outcomes=2, rows=12
    )


@pytest.mark.parametrize("state", [monitor.initial, monitor.fold([began, observed(1, 1, 10), labelled(1, 4)])])
def test_states_are_kept_as_they_are(state: State):
    """Snapshots are JSON."""
    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
