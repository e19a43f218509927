"""A skill stands in versions side by side, each with a share of the traffic."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decider import Refusal
from domain.skill import (
    CircuitClosed,
    CircuitOpened,
    CloseCircuit,
    Known,
    OpenCircuit,
    Register,
    Registered,
    Retire,
    Retired,
    RetryPolicy,
    Route,
    Routed,
    Specification,
    skill,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIRST, SECOND = Specification("1"), Specification("2")


def state(*commands):
    found = skill.initial
    for command in commands:
        decided = skill.decide(command, found)
        assert not isinstance(decided, Refusal), decided
        found = skill.fold(decided, found)
    return found


def decided(command, *before):
    return skill.decide(command, state(*before))


def refused(command, *before):
    found = decided(command, *before)
    assert isinstance(found, Refusal)
    return found.name


def test_the_first_version_gets_all_the_traffic_and_the_next_none_until_it_is_given_some():
    assert decided(Register(FIRST)) == (Registered(FIRST), Routed({"1": 1}))
    assert decided(Register(SECOND), Register(FIRST)) == (Registered(SECOND),)
    found = state(Register(FIRST), Register(SECOND))
    assert isinstance(found, Known)
    assert found.routable() == {"1": 1}
    found = state(Register(FIRST), Register(SECOND), Route({"1": 9, "2": 1}))
    assert isinstance(found, Known)
    assert found.routable() == {"1": 9, "2": 1}


def test_the_same_again_changes_nothing_and_another_text_replaces_it():
    assert decided(Register(FIRST), Register(FIRST)) == ()
    other = Specification("1", timeout=5.0)
    assert decided(Register(other), Register(FIRST)) == (Registered(other),)
    assert decided(Route({"1": 1}), Register(FIRST)) == ()


def test_what_is_retired_gets_nothing_until_it_is_reinstated():
    retire = Retire("1", "too slow")
    assert decided(retire, Register(FIRST)) == (Retired("1", "too slow"),)
    assert decided(retire, Register(FIRST), retire) == ()
    found = state(Register(FIRST), retire)
    assert isinstance(found, Known)
    assert found.routable() == {}
    again = Register(FIRST, reinstate=True)
    assert decided(again, Register(FIRST), retire) == (Registered(FIRST),)
    found = state(Register(FIRST), retire, again)
    assert isinstance(found, Known)
    assert found.routable() == {"1": 1}
    assert decided(again, Register(FIRST)) == ()


def test_what_is_retired_stays_so_when_a_worker_that_still_has_it_registers_it():
    for still in (FIRST, Specification("1", timeout=5.0)):
        assert refused(Register(still), Register(FIRST), Retire("1")) == "version_retired"
    assert decided(Register(SECOND), Register(FIRST), Retire("1")) == (Registered(SECOND),)


def test_shares_name_versions_that_can_take_them():
    assert refused(Route({"1": 1})) == "skill_not_found"
    assert refused(Route({"3": 1}), Register(FIRST)) == "version_not_found"
    assert refused(Route({"1": 0}), Register(FIRST)) == "no_share"
    assert refused(Route({"1": 1}), Register(FIRST), Retire("1")) == "version_retired"
    assert refused(Retire("3"), Register(FIRST)) == "version_not_found"


def test_a_circuit_opens_for_longer_but_never_for_less_and_closes_once():
    later = NOON + timedelta(seconds=30)
    opened = OpenCircuit("1", 5, NOON, "down")
    assert decided(opened, Register(FIRST)) == (CircuitOpened("1", 5, NOON, "down"),)
    assert decided(opened, Register(FIRST), opened) == ()
    assert decided(OpenCircuit("1", 6, later, "down"), Register(FIRST), opened) != ()
    assert decided(opened, Register(FIRST), OpenCircuit("1", 6, later, "down")) == ()
    assert decided(CloseCircuit("1"), Register(FIRST), opened) == (CircuitClosed("1"),)
    assert decided(CloseCircuit("1"), Register(FIRST)) == ()
    assert refused(OpenCircuit("3", 5, NOON, "down"), Register(FIRST)) == "version_not_found"


@pytest.mark.parametrize(("attempt", "most"), [(1, 0.5), (2, 1.0), (3, 2.0), (9, 30.0)])
def test_pauses_grow_to_the_longest(attempt, most):
    assert RetryPolicy().pause(attempt, 1.0) == most


@given(st.integers(1, 100), st.floats(0, 1))
def test_a_pause_is_drawn_between_nothing_and_the_most(attempt, drawn):
    policy = RetryPolicy(attempts=100)
    assert 0 <= policy.pause(attempt, drawn) <= policy.pause(attempt, 1.0) <= policy.longest
