"""Recorded drift judged again: the same verdicts by the recorded policy, and what another one changes."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec import structs

from domain import gate, monitor
from domain.drift import Verdict
from domain.gate import Pairs, judge
from domain.model_policy import Monitoring
from models.observe.drift_changes import Change, Changes, Comparison, Judgements, Look, changes
from models.observe.drift_policy import OtherOdds, Policy
from models.observe.drift_rejudged import rejudge
from models.observe.drift_replay import UnfoundedVerdict, verdicts
from tests.models.watched import drifted, watched

MONITORING = Monitoring()
PROVEN = judge(Pairs(other_only=99), 20)
SAID = (monitor.Judged, monitor.ComparisonJudged)


class Logged:
    """What was recorded of a model whose world changed, with what is stored of it."""

    def __init__(self, id: str, events: Sequence[monitor.Event], stored: dict[str, bytes]) -> None:
        self.id, self.events, self._stored = id, list(events), stored

    async def get(self, content: str) -> bytes:
        return self._stored[content]

    async def rejudge(self, policy: Policy | None = None, *, first: int = 1, events=None):
        async def each():
            for event in self.events if events is None else events:
                yield event

        return await rejudge(self.id, each(), self.get, policy, first)

    def tampered(self, kind, change) -> list[monitor.Event]:
        """With the first event of a type, or of which something is true, as it never was, or gone."""
        is_one = (lambda event: isinstance(event, kind)) if isinstance(kind, type) else kind
        place = next(place for place, event in enumerate(self.events) if is_one(event))
        return [*self.events[:place], *change(self.events[place]), *self.events[place + 1 :]]


@pytest.fixture(scope="module")
def logged(log_url) -> Logged:
    async def run() -> Logged:
        id = await drifted(log_url)
        async with watched(log_url) as m:
            m.id = id
            events = await m.events()
            contents = {getattr(event, "content", None) or getattr(event, "reference", None) for event in events}
            return Logged(id, events, {each: await m.blobs.get(each) for each in contents if each})

    return asyncio.run(run())


async def test_the_same_verdicts_bit_for_bit(logged: Logged):
    again = await verdicts(logged.events, logged.get)
    assert again == [event for event in logged.events if isinstance(event, SAID)]
    assert {event.verdict.kind for event in again if isinstance(event, monitor.Judged)} == {
        "errors", "feature", "prediction",
    }  # fmt: skip
    assert {type(event) for event in again} == set(SAID)
    judged = await logged.rejudge()
    assert (judged.identical, judged.difference, judged.changes.changes) == (True, None, ())
    assert judged.changes.same == judged.changes.recorded > 10


async def test_later_beginnings_can_be_judged_alone(logged: Logged):
    later = await logged.rejudge(first=2)
    assert (later.identical, later.observations) == (True, 2)
    assert (await logged.rejudge(first=3)).observations == 0


def is_of_inputs(event: monitor.Event) -> bool:
    return isinstance(event, monitor.Judged) and event.verdict.kind == "feature"


TAMPERED = {
    "a verdict": (
        monitor.Judged,
        lambda event: [structs.replace(event, verdict=structs.replace(event.verdict, statistic=9.0))],
        "monitor.judged: verdict.statistic: recorded 9.0, now ",
    ),
    "a row": (
        monitor.Judged,
        lambda event: [structs.replace(event, verdict=structs.replace(event.verdict, at=7))],
        "monitor.judged: verdict.at: recorded 7, now ",
    ),
    "a verdict that is missing": (
        is_of_inputs,
        lambda _: [],
        "recorded monitor.inputs_observed",
    ),
    "windows": (
        monitor.InputsObserved,
        lambda event: [structs.replace(event, windows=())],
        "monitor.inputs_observed: windows: recorded (), now ",
    ),
    "a count": (
        monitor.OutcomesObserved,
        lambda event: [structs.replace(event, wrong=0)],
        "monitor.outcomes_observed: wrong: recorded 0, now ",
    ),
    "pairs": (
        monitor.ComparisonJudged,
        lambda event: [structs.replace(event, compared=structs.replace(event.compared, judgement=PROVEN))],
        "monitor.comparison_judged: compared.judgement.log_e_better: recorded ",
    ),
    "the policy": (
        monitor.Began,
        lambda event: [structs.replace(event, monitoring=Policy({"window": 77}).instead_of(event.monitoring))],
        "monitor.inputs_observed: windows: recorded ",
    ),
}


@pytest.mark.parametrize(("kind", "change", "says"), TAMPERED.values(), ids=TAMPERED)
async def test_what_does_not_follow_from_the_rows_is_found(logged: Logged, kind, change, says):
    judged = await logged.rejudge(events=logged.tampered(kind, change))
    assert judged.identical is False
    assert judged.difference.startswith(says)


async def test_a_verdict_on_nothing_is_refused(logged: Logged):
    judged = next(event for event in logged.events if isinstance(event, monitor.Judged))
    with pytest.raises(UnfoundedVerdict, match="verdict 1 follows from nothing on record"):
        await logged.rejudge(events=[*logged.tampered(monitor.InputsObserved, lambda _: []), judged][-1:])


async def test_no_row_can_be_observed_twice(logged: Logged):
    seen = [event for event in logged.events if isinstance(event, monitor.InputsObserved)]
    with pytest.raises(UnfoundedVerdict, match="predictions up to 1 were observed before"):
        await logged.rejudge(events=logged.tampered(monitor.InputsObserved, lambda event: [event, seen[0]]))


async def test_a_smaller_budget_moves_alarms_and_lets_some_vanish(logged: Logged):
    """All is known of the version in use; what asks for a training, and when, is the same by the observation."""
    strict = (await logged.rejudge(Policy({"budget": {"false_alarms": 1, "days": 3_650}}))).changes
    errors = [change for change in strict.changes if change.kind == "errors"]
    first = next(event.verdict for event in logged.events if is_error(event))
    assert (errors[0].what, errors[0].recorded_at) == ("moves", first.at)
    assert errors[0].replayed_at > first.at
    assert {change.what for change in errors} == {"moves", "vanishes"}
    assert strict.recorded == strict.same + strict.undecidable + sum(
        change.what != "appears" for change in strict.changes
    )


def is_error(event: monitor.Event) -> bool:
    return isinstance(event, monitor.Judged) and event.verdict.kind == "errors"


async def test_after_a_training_at_another_time_the_record_says_nothing_more(logged: Logged):
    """The hasty policy asks for one while all is well still: the version in use might have been another one since."""
    hasty = (await logged.rejudge(Policy({"budget": {"false_alarms": 900, "days": 1}}))).changes
    later = [event for event in logged.events if isinstance(event, monitor.Judged) and event.version != "1"]
    assert {change.version for change in hasty.changes} == {"1"}
    assert hasty.undecidable >= len(later) > 0
    assert [each.replayed for each in hasty.comparisons] == ["unknown"]


async def test_other_windows_give_other_verdicts(logged: Logged):
    narrow = (await logged.rejudge(Policy({"window": 50}))).changes
    appeared = [change for change in narrow.changes if change.what == "appears"]
    assert {change.method for change in appeared} <= {"ks", "chi2"}
    assert {change.replayed_at % 50 for change in appeared} == {0}
    assert any(change.replayed_at % 100 == 50 for change in appeared)
    assert narrow.undecidable == 0, "what asks for trainings is as it was"


async def test_a_comparison_that_others_would_not_have_decided_yet_is_unknown(logged: Logged):
    """And so is all that came after the promotion."""
    (recorded,) = (await logged.rejudge()).changes.comparisons
    doubtful = (await logged.rejudge(Policy(gate=OtherOdds(1e6)))).changes
    (compared,) = doubtful.comparisons
    assert (recorded.recorded, recorded.replayed) == ("better", "better")
    assert compared == structs.replace(recorded, replayed="unknown")
    assert doubtful.undecidable == sum(
        isinstance(event, monitor.Judged) and event.version != "1" for event in logged.events
    )
    watch_only = (await logged.rejudge(Policy(watch=OtherOdds(1e6)))).changes
    assert watch_only.comparisons == (recorded,)


def verdict(at: int, kind="errors", feature="") -> Verdict:
    return Verdict(kind, feature, "ks" if feature else "e-detector", at, 9.0, 8.0, {})


def look(number: int, old=(), new=(), *, beginning=1, asks=(False, False), judgements=None) -> Look:
    return Look(number, beginning, f"v{beginning}", old, new, asks, judgements)


def judged(old: Pairs, odds: float) -> Judgements:
    return Judgements("e-2", "shadow", judge(old, 20), judge(old, odds))


ERRORS = ("errors", "", "e-detector")


def test_nothing_was_looked_at():
    assert changes([]) == Changes(0, 0, 0, (), ())


def test_verdicts_at_the_same_row_are_the_same_and_each_counts_once():
    twice = (verdict(8), verdict(8))
    assert changes([look(1, twice, twice)]) == Changes(2, 2, 0, (), ())
    assert changes([look(1, twice, twice[:1])]).changes == (Change("vanishes", "v1", *ERRORS, 8, None),)


def test_a_verdict_at_another_row_has_moved_and_others_appear_or_vanish():
    found = changes([
        look(1, [verdict(8)], []),
        look(2, [verdict(19, "feature", "age")], [verdict(12), verdict(15)]),
    ])  # fmt: skip
    assert found.changes == (
        Change("moves", "v1", *ERRORS, 8, 12),
        Change("appears", "v1", *ERRORS, None, 15),
        Change("vanishes", "v1", "feature", "age", "ks", 19, None),
    )
    assert (found.recorded, found.same, found.undecidable) == (2, 0, 0)


def test_each_version_has_its_own_verdicts():
    found = changes([look(1, [verdict(8)], []), look(2, [], [verdict(9)], beginning=2)])
    assert [change.what for change in found.changes] == ["vanishes", "appears"]


def test_a_training_that_only_the_other_policy_asks_for_ends_what_is_known():
    """What it says in that observation is known; a recorded verdict later on is undecidable."""
    found = changes([
        look(1, [], [verdict(5)], asks=(False, True)),
        look(2, [verdict(20), verdict(22)], [verdict(21)], asks=(True, True)),
        look(3, [verdict(3)], [verdict(3)], beginning=2),
    ])  # fmt: skip
    assert found == Changes(3, 0, 2, (Change("moves", "v1", *ERRORS, 20, 5),), ())


def test_a_training_that_only_the_recorded_policy_asked_for_ends_it_with_that_version():
    found = changes([
        look(1, [verdict(5)], [], asks=(True, False)),
        look(2, [], [verdict(9, "feature", "age")]),
        look(3, [verdict(3)], [verdict(3)], beginning=2),
    ])  # fmt: skip
    assert found.undecidable == 1
    assert [(change.what, change.kind) for change in found.changes] == [("appears", "feature"), ("vanishes", "errors")]


def test_a_comparison_decided_alike_changes_nothing():
    few, many = judged(Pairs(other_only=3), 15), judged(Pairs(other_only=14), 15)
    found = changes(
        [look(1, judgements=few), look(2, judgements=many), look(3, [verdict(1)], [verdict(1)], beginning=2)]
    )
    assert found.comparisons == (Comparison("e-2", "shadow", "better", 14, "better", 14),)
    assert (found.same, found.undecidable) == (1, 0)


def test_an_earlier_decision_is_known_and_nothing_after_it():
    few, many = judged(Pairs(other_only=3), 2), judged(Pairs(other_only=14), 2)
    found = changes([look(1, judgements=few), look(2, [verdict(4)], [verdict(4)], judgements=many)])
    assert found.comparisons == (Comparison("e-2", "shadow", "better", 14, "better", 3),)
    assert (found.same, found.undecidable) == (0, 1)


def test_undecided_when_the_recorded_decision_came_is_unknown():
    few, many = judged(Pairs(active_only=3), 1e6), judged(Pairs(active_only=14), 1e6)
    more = judged(Pairs(active_only=99), 1e6)
    looks = [look(1, judgements=few), look(2, judgements=many), look(3, judgements=more)]
    assert changes(looks).comparisons == (Comparison("e-2", "shadow", "worse", 14, "unknown", 14),)


def test_undecided_by_both_is_undecided():
    same = judged(Pairs(both=5, other_only=1), 1e6)
    assert changes([look(1, judgements=same)]).comparisons == (
        Comparison("e-2", "shadow", "undecided", 6, "undecided", 6),
    )


def test_a_comparison_after_what_is_known_is_unknown():
    found = changes([
        look(1, [], [verdict(5)], asks=(False, True)),
        look(2, judgements=judged(Pairs(other_only=99), 20)),
    ])  # fmt: skip
    assert found.comparisons == (Comparison("e-2", "shadow", "better", 99, "unknown", 0),)


def test_only_what_is_given_replaces_what_was_recorded():
    recorded = Policy().instead_of(Policy({"window": 80, "expected_per_day": 7}).instead_of(MONITORING))
    other = Policy({"window": 90}).instead_of(recorded)
    assert (other.window, other.expected_per_day, other.budget) == (90, 7, recorded.budget)
    compared = monitor.Compared("e-2", "watch", "2", gate.judge(Pairs(), 30))
    assert Policy(gate=OtherOdds(5)).odds(compared) == 30
    assert Policy(watch=OtherOdds(5)).odds(compared) == 5
