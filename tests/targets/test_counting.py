"""What is counted of a request, and what is one incident."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.measurement import Counts, bucket_of
from sagas.targets.splitter.counting import ArmCounts, FrontCounts


def counts(*statuses: int | None, values: list[str | None] | None = None) -> Counts:
    arm = ArmCounts()
    for status, value in zip(statuses, values or [None] * len(statuses), strict=True):
        arm.record(status, 0.01 if status else None, "GET", "/", value)
    return arm.counts()


def patterns(*requests: tuple[int | None, str, str]) -> dict[str, int]:
    arm = ArmCounts()
    for status, method, path in requests:
        arm.record(status, 0.01, method, path)
    return arm.counts().patterns


def test_errors_are_answers_from_500_on_and_none():
    assert counts(200, 499, 500, 599, None, 302).errors == 3


@pytest.mark.parametrize(("row", "incidents"), [(1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (101, 11)])
def test_a_row_of_errors_is_one_incident_and_one_more_at_every_tenth(row: int, incidents: int):
    assert counts(*[500] * row).incidents == incidents


def test_a_good_answer_ends_a_row():
    assert counts(500, 500, 404, None, 500, 200, 500).incidents == 3


@given(st.lists(st.sampled_from([200, 404, 500, None]), max_size=60))
def test_incidents_are_between_the_rows_and_the_errors(statuses: list[int | None]):
    counted = counts(*statuses)
    failed = [status is None or status >= 500 for status in statuses]
    rows = sum(now and not before for before, now in zip([False, *failed], failed, strict=False))
    assert rows <= counted.incidents <= counted.errors == sum(failed)


def test_a_value_is_counted_once_for_ever():
    statuses, values = [500, 200] * 6, [f"user-{number // 2 % 2}" for number in range(12)]
    assert counts(*statuses, values=values).incidents == 2


def test_errors_of_different_values_in_a_row_are_still_one_incident():
    assert counts(*[500] * 10, values=[f"user-{number}" for number in range(10)]).incidents == 1


def test_errors_of_a_counted_value_do_not_make_a_row_longer():
    """Else one user who tries again and again would be many incidents."""
    assert counts(*[500] * 40, values=["user"] * 40).incidents == 1


def test_errors_without_a_value_count_as_if_there_were_no_header():
    assert counts(500, 500, 200, 500, values=["user", None, "user", None]).incidents == 2


def test_the_oldest_of_100_000_values_is_forgotten():
    arm = ArmCounts()
    for number in (*range(100_001), 0, 100_000):
        arm.record(500, None, "GET", "/", f"user-{number}")
        arm.record(200, None, "GET", "/", f"user-{number}")
    assert arm.counts().incidents == 100_002


def test_a_pattern_is_the_status_the_method_and_the_first_segment_of_the_path():
    assert patterns(
        (500, "GET", "/products/7?colour=red"),
        (500, "GET", "/products"),
        (None, "POST", "/orders?next=/a/b"),
        (503, "GET", "/"),
        (500, "GET", "//double/slash"),
        (200, "GET", "/fine"),
    ) == {"500 GET /products": 2, "none POST /orders": 1, "503 GET /": 1, "500 GET /": 1}


def test_there_are_50_patterns_at_most():
    seen = patterns(*[(500, "GET", f"/{number % 60}") for number in range(120)])
    assert len(seen) == 50
    assert seen["other"] == 2 * 11
    assert sum(seen.values()) == 120


def test_a_pattern_is_short():
    [pattern] = patterns((500, "M" * 1000, "/" + "x" * 10_000))
    assert len(pattern) < 100


def test_latency_is_counted_by_bucket_and_only_where_there_is_one():
    arm = ArmCounts()
    for seconds in (0.01, 0.01, 0.5, None):
        arm.record(200, seconds, "GET", "/")
    arm.abandoned(0.5)
    assert arm.counts() == Counts(5, 0, 0, {bucket_of(0.01): 2, bucket_of(0.5): 2}, {})


def test_an_abandoned_request_is_no_good_answer():
    arm = ArmCounts()
    for _ in range(3):
        arm.record(500, 0.1, "GET", "/")
        arm.abandoned(0.1)
    assert (arm.counts().errors, arm.counts().incidents) == (3, 1)


def test_counts_that_were_given_do_not_change():
    arm = ArmCounts()
    before = arm.counts()
    arm.record(500, 0.1, "GET", "/")
    assert before == Counts()


def test_arms_that_were_not_routed_to_for_long_are_forgotten():
    front = FrontCounts()
    for number in range(150):
        front.routed(("stays", f"release-{number}"))
        front.arm(f"release-{number}").record(200, 0.1, "GET", "/")
    front.arm("release-0").record(200, 0.1, "GET", "/")
    arms = front.reading("now").arms
    assert set(arms) == {"stays", *(f"release-{number}" for number in range(51, 150))}
    assert all(arms[f"release-{number}"].requests == 1 for number in range(51, 150))


def test_an_outage_of_the_whole_front_is_an_incident_of_the_arm_that_it_struck_first():
    front = FrontCounts()
    front.routed(("canary", "stable"))
    for arm in ("stable", *["stable"] * 5, "canary", *["stable"] * 8):
        front.arm(arm).record(503, 0.01, "GET", "/")
    arms = front.reading("e").arms
    assert (arms["stable"].incidents, arms["canary"].incidents) == (2, 0)


def test_a_user_for_whom_everything_fails_is_an_incident_of_one_arm_only():
    front = FrontCounts()
    front.routed(("canary", "stable"))
    for arm in ("stable", "canary", "stable"):
        front.arm(arm).record(500, 0.01, "GET", "/", "ann")
        front.arm(arm).record(200, 0.01, "GET", "/", "bob")
    arms = front.reading("e").arms
    assert (arms["stable"].incidents, arms["canary"].incidents) == (1, 0)
    assert (arms["stable"].errors, arms["canary"].errors) == (2, 1)


def test_a_release_that_always_fails_beside_one_that_never_does_is_an_incident_at_each_tenth():
    front = FrontCounts()
    front.routed(("canary", "stable"))
    for _ in range(31):
        front.arm("canary").record(500, 0.01, "GET", "/")
        front.arm("stable").record(200, 0.01, "GET", "/")
    assert front.reading("e").arms["canary"].incidents == 4
