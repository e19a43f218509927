"""What is decided at once may be too much for one write: wherever it is torn, the same comes of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.skill import RetryPolicy, Specification
from domain.workflow import (
    CallCancelled,
    Chosen,
    CompensationStarted,
    Failed,
    Parked,
    Requested,
    Running,
    StepCompleted,
    StepFailed,
    Succeeded,
    Value,
)
from domain.workflow_course import Said
from domain.workflow_definition import Adaptive, Candidate, Partial, Step
from domain.workflow_parts import parts, units
from tests.domain.test_workflow_properties import FALLEN, ITEMS, SKILLS, befall, steps, to_the_end
from tests.domain.workflow_story import NOON, Run, known

BACKED = {"first": known(Specification("1", retry=RetryPolicy(attempts=1), fallback="spare"))}


class Torn(Run):
    """Whoever works on it is gone when only `kept` units of what came last are written; what was said is said again."""

    kept: int | None = None

    def say(self, said: Said):
        if self.kept is None:
            return super().say(said)
        kept, self.kept = self.kept, None
        before, known = self.state, len(self.events)
        super().say(said)
        written = units(self.events[known:])[:kept]
        self.state, self.events = before, self.events[:known]
        for unit in written:
            self._write(unit)
        self._advance()
        return super().say(said)


@st.composite
def choosing(draw):
    """Steps of which one chooses by itself whom to ask."""
    graph = draw(steps())
    goal = draw(st.sampled_from(["result.good", "length(turns) > `1`"]))
    adaptive = Adaptive(
        goal,
        (Candidate("backed", score="`2`"), Candidate(draw(st.sampled_from(["steady", "gone"])))),
        at_most=draw(st.integers(1, 3)),
    )
    needs = tuple(sorted(draw(st.sets(st.sampled_from(sorted(graph))))))
    return graph | {"f": Step(adaptive=adaptive, needs=needs, on_failure=draw(st.sampled_from(["fail", "continue"])))}


LAST = st.tuples(st.sampled_from(["fail", "fail", "fail", "succeed", "wait", "cancel"]), st.integers(0, 2))


@given(choosing(), ITEMS, FALLEN, LAST, st.integers(1, 4))
@settings(max_examples=150)
def test_what_was_torn_comes_to_the_same_end(graph, items, fallen, last, kept):
    whole, torn = (kind(graph, items, skills=SKILLS, missing=["gone"]) for kind in (Run, Torn))
    for run in (whole, torn):
        for what, place in fallen:
            if isinstance(run.state, Running):
                befall(run, what, place)
    torn.kept = kept
    for run in (whole, torn):
        if isinstance(run.state, Running):
            befall(run, *last)
        to_the_end(run)
    assert torn.ended == whole.ended
    assert torn.asked == whole.asked


def test_a_failure_and_what_takes_its_place_are_one():
    run = Run({"a": Step(skill="first")}, skills=BACKED)
    run.fail("run-1")
    failed = run.events[-2:]
    assert [type(each) for each in failed] == [Failed, Requested]
    assert units(failed) == [failed]


def test_a_failure_that_a_person_is_to_see_to_is_one():
    run = Run({"a": Step(skill="any", on_failure="park")})
    run.fail("run-1")
    failed = run.events[-2:]
    assert [type(each) for each in failed] == [Failed, Parked]
    assert units(failed) == [failed]


def test_a_choice_and_whom_it_has_led_to_are_one():
    run = Run({"a": Step(adaptive=Adaptive("result", (Candidate("any"),)))})
    assert [type(each) for each in units(run.events)[-1]] == [Chosen, Requested]
    run.succeed("run-1", True)
    assert [type(each) for each in units(run.events)[-2]] == [Chosen, StepCompleted]


def test_who_was_asked_in_vain_is_never_on_the_record_as_somebody_who_does_it():
    run = Run({"a": Step(skill="gone", on_failure="park")}, missing=["gone"])
    assert [type(each) for each in units(run.events)[-1]] == [Requested, Failed, Parked]


def test_that_a_run_turns_back_is_said_before_what_is_given_up():
    run = Run({"a": Step(skill="any"), **{f"b{n}": Step(skill="any") for n in range(3)}})
    run.fail("run-1")
    kinds = [type(each) for each in run.events]
    assert kinds.index(StepFailed) < kinds.index(CompensationStarted) < kinds.index(CallCancelled)


def test_that_a_list_has_failed_is_said_before_its_items_are_given_up():
    step = Step(skill="any", each="input", parallel=9, partial=Partial(1.0), on_failure="continue")
    run = Run({"a": step}, [1, 2, 3])
    run.fail("run-1")
    kinds = [type(each) for each in run.events]
    assert kinds.index(StepFailed) < kinds.index(CallCancelled)


def test_parts_are_as_large_as_they_may_be_and_lose_nothing():
    one = Succeeded("run-1", 1, Value())
    pair = [Failed("run-2", 1, "error", "no"), Parked("run-2", "no")]
    events = [one, *pair, one, one, *pair, *pair]
    found = parts(events, 3)
    assert found == [[one, *pair], [one, one], pair, pair]
    assert parts([], 3) == []


def test_what_cannot_be_divided_is_a_part_however_small_parts_are_to_be():
    pair = [Requested("run-1", "a", "skill", "s", "", Value(), NOON), Failed("run-1", 1, "refused", "no")]
    assert parts([*pair, Succeeded("run-2", 1, Value())], 1) == [pair, [Succeeded("run-2", 1, Value())]]
