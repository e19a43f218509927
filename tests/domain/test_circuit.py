"""When deployments stop trying a target that cannot be reached, and when they try it again."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.circuit import Circuit, CircuitPolicy, opens
from domain.environment import (
    AddTarget,
    CircuitClosed,
    CircuitOpened,
    Registered,
    RemoveTarget,
    ReportReached,
    ReportUnreachable,
    Target,
    TargetAdded,
    TargetRemoved,
    TargetUnreachable,
    environment,
)
from tests.scenario import Scenario

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DEFAULT = CircuitPolicy()

local = Target("local")
touchy = Target("touchy", circuit=CircuitPolicy(failures=2, recovery=5.0))
registered = Registered("prod", "acme", "production", {}, (local, touchy))


def after(seconds):
    return NOON + timedelta(seconds=seconds)


def failing(target, *seconds):
    """The events of an environment whose target could not be reached at these seconds after noon."""
    events = [registered]
    for at in seconds:
        command = ReportUnreachable(target, "refused", after(at))
        events += environment.decide(command, environment.fold(events))
    return events


def failed(target, number, seconds):
    return TargetUnreachable(target, "refused", after(seconds), number)


# --- the rule ------------------------------------------------------------------------------------------------------


def test_five_failures_in_a_row_open_it_for_half_a_minute():
    assert (DEFAULT.failures, DEFAULT.recovery) == (5, 30.0)
    assert opens(Circuit(failures=3), DEFAULT, NOON) is None
    assert opens(Circuit(failures=4), DEFAULT, NOON) == after(30)


def test_it_is_open_until_then_and_no_longer():
    circuit = Circuit(5, after(30))
    assert circuit.is_open(NOON)
    assert circuit.is_open(after(29.999))
    assert not circuit.is_open(after(30))
    assert not Circuit().is_open(NOON)


def test_a_failure_while_it_is_open_changes_nothing():
    assert opens(Circuit(5, after(30)), DEFAULT, after(29)) is None


def test_after_it_was_open_one_failure_is_enough():
    assert opens(Circuit(5, after(30)), DEFAULT, after(30)) == after(60)


@given(st.integers(1, 6), st.floats(0.5, 60), st.lists(st.floats(0, 100), max_size=40).map(sorted))
def test_only_the_first_failure_after_a_full_row_ever_opens_it_and_always_for_the_whole_recovery(most, recovery, times):
    """Between two openings lies at least the recovery, and none comes before the row is full."""
    policy, circuit, openings = CircuitPolicy(most, recovery), Circuit(), []
    for number, at in enumerate(times, 1):
        until = opens(circuit, policy, after(at))
        circuit = Circuit(number, until or circuit.open_until)
        if until is not None:
            openings.append((number, until - timedelta(seconds=recovery)))
    assert bool(openings) == (len(times) >= most)
    assert all(number >= most for number, _ in openings)
    begun = [at for _, at in openings]
    assert all(next - at >= timedelta(seconds=recovery) for at, next in pairwise(begun))


# --- in the environment --------------------------------------------------------------------------------------------


def test_a_failure_is_recorded_with_its_number_in_the_row():
    unreachable = ReportUnreachable("local", "refused", NOON)
    Scenario(environment).given(registered).when(unreachable).then(failed("local", 1, 0))
    again = ReportUnreachable("local", "refused", after(1))
    Scenario(environment).given(*failing("local", 0)).when(again).then(failed("local", 2, 1))


def test_the_fifth_failure_in_a_row_opens_the_circuit_in_the_same_write():
    fifth = ReportUnreachable("local", "refused", after(4))
    Scenario(environment).given(*failing("local", 0, 1, 2, 3)).when(fifth).then(
        failed("local", 5, 4), CircuitOpened("local", after(34))
    )
    state = environment.fold(failing("local", 0, 1, 2, 3, 4))
    assert state.circuits == {"local": Circuit(5, after(34))}


def test_further_failures_while_it_is_open_are_recorded_and_do_not_prolong_it():
    sixth = ReportUnreachable("local", "refused", after(33))
    opened = failing("local", 0, 1, 2, 3, 4)
    Scenario(environment).given(*opened).when(sixth).then(failed("local", 6, 33))
    assert environment.fold(failing("local", 0, 1, 2, 3, 4, 33)).circuits["local"].open_until == after(34)


def test_one_failure_after_the_recovery_opens_it_again():
    again = ReportUnreachable("local", "refused", after(34))
    Scenario(environment).given(*failing("local", 0, 1, 2, 3, 4)).when(again).then(
        failed("local", 6, 34), CircuitOpened("local", after(64))
    )


def test_an_answer_closes_it_and_the_row_begins_anew():
    closed = [*failing("local", 0, 1, 2, 3, 4), CircuitClosed("local")]
    Scenario(environment).given(*closed[:-1]).when(ReportReached("local")).then(CircuitClosed("local"))
    assert environment.fold(closed).circuits == {}
    sixth = ReportUnreachable("local", "refused", after(60))
    Scenario(environment).given(*closed).when(sixth).then(failed("local", 1, 60))


def test_an_answer_ends_a_row_that_has_opened_nothing_yet():
    Scenario(environment).given(*failing("local", 0, 1, 2, 3)).when(ReportReached("local")).then(CircuitClosed("local"))


def test_an_answer_where_nothing_was_wrong_is_no_news():
    Scenario(environment).given(registered).when(ReportReached("local")).nothing_happens()
    Scenario(environment).given(*failing("touchy", 0)).when(ReportReached("local")).nothing_happens()


def test_every_target_has_a_policy_and_a_row_of_its_own():
    second = ReportUnreachable("touchy", "refused", after(1))
    Scenario(environment).given(*failing("touchy", 0)).when(second).then(
        failed("touchy", 2, 1), CircuitOpened("touchy", after(6))
    )
    Scenario(environment).given(*failing("local", 0)).when(second).then(failed("touchy", 1, 1))


def test_a_target_that_is_gone_has_no_circuit():
    late = ReportUnreachable("elsewhere", "refused", NOON)
    Scenario(environment).given(registered).when(late).nothing_happens()
    opened = failing("touchy", 0, 1)
    Scenario(environment).given(*opened).when(RemoveTarget("touchy")).then(TargetRemoved("touchy"))
    added = [*opened, TargetRemoved("touchy"), TargetAdded(touchy)]
    Scenario(environment).given(*opened, TargetRemoved("touchy")).when(AddTarget(touchy)).then(TargetAdded(touchy))
    assert environment.fold(added).circuits == {}


@pytest.mark.parametrize("command", [ReportUnreachable("local", "refused", NOON), ReportReached("local")])
def test_an_unknown_environment_has_no_circuits(command):
    Scenario(environment).when(command).refused("environment_not_found")


def test_a_snapshot_keeps_the_circuits():
    state = environment.fold(failing("touchy", 0, 1, 7))
    assert state.circuits == {"touchy": Circuit(3, after(12))}
    assert msgspec.json.decode(msgspec.json.encode(state), type=environment.states) == state


def test_a_target_recorded_before_there_were_circuits_has_the_default_policy():
    recorded = b'{"type":"environment.target_added","target":{"name":"local","kind":"process","settings":{}}}'
    assert msgspec.json.decode(recorded, type=environment.events) == TargetAdded(local)
    assert local.circuit == DEFAULT
