"""Of the signs of life of one attempt, one of a kind a second is told: the first, then the last of those that came."""

from domain.workflow_course import CallLeased, CallProgressed
from sagas.workflows.means import Recent
from sagas.workflows.pace import Pace


def progress(fraction, call="run-1", attempt=1):
    return CallProgressed(call, attempt, fraction)


def test_the_first_is_told_at_once_and_of_the_others_the_last():
    pace = Pace(Recent())
    assert pace.admits(progress(0.1), 10.0)
    assert not pace.admits(progress(0.2), 10.2)
    assert not pace.admits(progress(0.3), 10.75)
    assert (pace.wait(10.75), pace.ripe(10.9)) == (0.25, [])
    assert pace.ripe(11.0) == [progress(0.3)]
    assert (pace.wait(11.0), pace.ripe(20.0)) == (None, [])
    assert not pace.admits(progress(0.4), 11.5)
    assert pace.admits(progress(0.5, attempt=2), 11.5)


def test_what_comes_in_time_is_told_at_once():
    pace = Pace(Recent())
    assert [pace.admits(progress(n / 10), n) for n in range(1, 5)] == [True] * 4


def test_none_overtakes_one_that_is_kept():
    pace = Pace(Recent())
    pace.admits(progress(0.1), 10.0)
    pace.admits(progress(0.2), 10.5)
    assert not pace.admits(progress(0.3), 11.5)
    assert pace.ripe(11.5) == [progress(0.3)]


def test_calls_and_kinds_do_not_wait_for_each_other():
    pace = Pace(Recent())
    signs = [progress(0.1), progress(0.1, call="run-2"), CallLeased("run-1", 1, "me")]
    assert all(pace.admits(each, 10.0) for each in signs)


def test_when_one_was_told_is_known_longer_than_a_run_is_in_hand():
    told = Recent()
    assert Pace(told).admits(progress(0.1), 10.0)
    assert not Pace(told).admits(progress(0.2), 10.5)
