"""Which events concern a rule, and how many rules in a row have led to one."""

from __future__ import annotations

import pytest

from domain.event_trigger import EventTrigger, Origin, Sighting, is_like, is_meant, origin_of

OWN = Sighting("deployment.failed", "/sagacity", "deployment")
FOREIGN = Sighting("payment.failed", "/billing/eu", "inbound", foreign=True)


@pytest.mark.parametrize(
    ("text", "pattern", "like"),
    [
        ("deployment.failed", "deployment.failed", True),
        ("deployment.failed", "deployment.*", True),
        ("deployment.failed", "*.failed", True),
        ("deployment.failed", "*", True),
        ("deployment.failed", "d*.f*d", True),
        ("a.b.a", "a.b*b.a", False),
        ("deployment.failed", "deployment", False),
        ("deployment.failed", "*.completed", False),
        ("deployment.failed", "deployment.fail?d", False),
        ("", "*", True),
    ],
)
def test_a_star_stands_for_anything(text: str, pattern: str, like: bool) -> None:
    assert is_like(text, pattern) is like


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    """With a backtracking matcher this one would outlast us."""
    assert not is_like("a" * 200, "*a" * 99 + "*b")


@pytest.mark.parametrize(
    ("trigger", "seen", "meant"),
    [
        (EventTrigger(("payment.*", "deployment.*")), OWN, True),
        (EventTrigger(("payment.*", "deployment.*")), FOREIGN, True),
        (EventTrigger(("*",), category="deployment"), OWN, True),
        (EventTrigger(("*",), category="deployment"), FOREIGN, False),
        (EventTrigger(("*",), category="inbound"), FOREIGN, True),
        (EventTrigger(("*",), source="/billing/*"), FOREIGN, True),
        (EventTrigger(("*",), source="/billing/*"), OWN, False),
        (EventTrigger(("*",), source="/sagacity"), OWN, True),
        (EventTrigger(("*",), source="/sagacity"), FOREIGN._replace(source="/sagacity"), False),
        (EventTrigger(("*",)), Sighting("automation.fired", "/sagacity", "automation"), False),
        (EventTrigger(("*",)), Sighting("command.accepted", "/sagacity", "command"), False),
    ],
)
def test_an_event_is_meant_by_its_type_source_and_category(trigger: EventTrigger, seen: Sighting, meant: bool) -> None:
    """Never what rules and commands are, and nobody passes for us."""
    assert is_meant(trigger, seen) is meant


def test_each_rule_in_a_row_leaves_its_mark_on_the_conversation() -> None:
    assert origin_of("order-7") == Origin("order-7", 0)
    first = origin_of("order-7").further("dun")
    second = origin_of(origin_of(first).further("write-off"))
    assert first.startswith("order-7~1.")
    assert (second.correlation, second.hops) == ("order-7", 2)
    assert [second.holds(id) for id in ("dun", "write-off", "other")] == [True, True, False]
    assert not origin_of("order-7").holds("dun")
    assert origin_of("order-7~1") == Origin("order-7", 1), "as earlier versions marked it"
    assert origin_of(origin_of("order-7~1").further("dun")).hops == 2
    assert origin_of("order~x") == Origin("order~x", 0)
