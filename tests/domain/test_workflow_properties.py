"""What holds for every graph of steps and whatever befalls its calls."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.skill import RetryPolicy, Specification
from domain.workflow import (
    UNSETTLED,
    Cancel,
    Ended,
    Event,
    GiveUp,
    NotStarted,
    Reject,
    Requested,
    Retry,
    Revised,
    Running,
    Succeeded,
    evolve,
    workflow,
)
from domain.workflow_course import CallFailed, CallLeased, CallProgressed, CallSucceeded, TimePassed
from domain.workflow_definition import (
    Approval,
    Compensation,
    Definition,
    Partial,
    Revise,
    Step,
)
from domain.workflow_faults import faults
from tests.domain.workflow_story import Run, known

NAMES = ("a", "b", "c", "d", "e")
SKILLS = {
    "steady": known(Specification("1", retry=RetryPolicy(attempts=2, first=1.0))),
    "backed": known(Specification("1", retry=RetryPolicy(attempts=1), fallback="steady")),
    "undo": known(Specification("1", retry=RetryPolicy(attempts=2, first=1.0))),
}
WHATEVER = ("succeed", "fail", "break", "lease", "progress", "late", "wait", "again", "cancel", "give_up", "retry")


@st.composite
def steps(draw):
    found = {}
    for place, name in enumerate(NAMES[: draw(st.integers(1, 5))]):
        needs = tuple(draw(st.sets(st.sampled_from(NAMES[:place])))) if place else ()
        kind = draw(st.sampled_from(["skill", "skill", "each", "approval", "wait"]))
        common = {
            "needs": tuple(sorted(needs)),
            "after": draw(st.sampled_from(["all", "any"])),
            "when": draw(st.sampled_from(["", "", "", "run.missing"])),
        }
        found[name] = draw(_of_kind(kind, common, found))
    return found


@st.composite
def _of_kind(draw, kind, common, before):
    on_failure = draw(st.sampled_from(["fail", "continue", "park"]))
    compensate = draw(st.sampled_from([None, Compensation("undo")]))
    name = draw(st.sampled_from(["steady", "backed"]))
    match kind:
        case "approval":
            return Step(approval=Approval("Go on?", within=draw(st.sampled_from([None, 5.0]))), **common)
        case "wait":
            return Step(wait=3.0, **common)
        case "each":
            partial = Partial(draw(st.sampled_from([1.0, 0.5])), draw(st.sampled_from([None, 2])))
            return Step(
                skill=name,
                each="input.items",
                parallel=draw(st.sampled_from([1, 2, 9])),
                partial=partial,
                on_failure=on_failure,
                compensate=compensate,
                **common,
            )
        case _:
            back = draw(st.sampled_from([None, *common["needs"]]))
            revise = Revise("result.good", back, 1, draw(st.sampled_from(["fail", "accept"]))) if back else None
            return Step(skill=name, on_failure=on_failure, compensate=compensate, revise=revise, **common)


def befall(run: Run, what: str, place: int) -> None:
    """Something that may happen now."""
    state = run.running
    calls = list(state.calls)
    open = [id for id in state.open if state.calls[id].status != "parked"]
    parked = [id for id in state.open if state.calls[id].status == "parked"]
    id = open[place % len(open)] if open else None
    match what:
        case "succeed" if id:
            run.succeed(id, {"good": place % 2 == 0, "place": place})
        case "late" if id:
            run.succeed(id, {"good": True}, attempt=1)
        case "fail" if id:
            run.fail(id)
        case "break" if id:
            run.fail(id, retryable=True, kind="lost")
        case "lease" if id:
            run.lease(id)
        case "progress" if id:
            run.say(CallProgressed(id, 1, 0.5))
        case "wait":
            run.next_moment()
        case "cancel" if place == 0:
            run.tell(Cancel("enough"))
        case "give_up" if parked:
            run.tell(GiveUp(parked[place % len(parked)], "never mind"))
        case "retry" if parked:
            run.tell(Retry())
        case "again" if calls:
            settled = [each for each in calls if state.calls[each].status not in UNSETTLED]
            for each in settled:
                said = [CallSucceeded(each, 1, state.calls[each].output), CallLeased(each, 1, "w")]
                said.append(CallFailed(each, 1, "error", "late", True))
                assert [run.say(one) for one in said] == [(), (), ()], "what is settled is settled"
        case _:
            pass


def to_the_end(run: Run) -> None:
    """Every call is answered, every question too."""
    for _ in range(2_000):
        if isinstance(run.state, Ended):
            return
        state = run.running
        parked = [id for id in state.open if state.calls[id].status == "parked"]
        waiting = [name for name, each in state.states.items() if each.status == "running"]
        asked = [name for name in waiting if state.steps[name].approval is not None]
        if run.to_start:
            run.succeed(run.to_start[0], {"good": True})
        elif parked:
            run.tell(GiveUp(parked[0], "it stays as it is"))
        elif asked and state.compensating is None:
            run.tell(Reject(asked[0]))
        elif open := [id for id in state.open if state.calls[id].status == "leased"]:
            run.succeed(open[0], {"good": True})
        else:
            assert run.next_moment(), f"nothing will ever happen: {state}"
    raise AssertionError(f"it does not end: {run.state}")


FALLEN = st.lists(st.tuples(st.sampled_from(WHATEVER), st.integers(0, 5)), max_size=25)
ITEMS = st.fixed_dictionaries({"items": st.lists(st.integers(0, 9), max_size=4)})


def lived(graph, items, fallen) -> Run:
    run = Run(graph, items, skills=SKILLS)
    for what, place in fallen:
        if isinstance(run.state, Ended):
            break
        befall(run, what, place)
    return run


def states(events: list[Event]):
    state = NotStarted()
    for event in events:
        before, state = state, evolve(state, event)
        yield before, event, state


@given(steps(), ITEMS, FALLEN)
@settings(max_examples=80)
def test_every_run_ends_once_all_is_answered_and_what_had_to_be_undone_is(graph, items, fallen):
    assert [fault for fault in faults(Definition(graph)) if "park" not in fault.what] == []
    run = lived(graph, items, fallen)
    to_the_end(run)
    assert run.say(TimePassed()) == (), "nothing comes after the end"
    last = next(before for before, _, after in states(run.events) if isinstance(after, Ended))
    assert isinstance(last, Running)
    assert not last.open
    if run.ended.outcome != "completed":
        left = [
            id
            for id, call in last.calls.items()
            if call.status == "succeeded" and call.undo is None and graph[call.step].compensate is not None
        ]
        assert left == []
    else:
        assert not any(call.undo for call in last.calls.values())


@given(steps(), ITEMS, FALLEN)
@settings(max_examples=80)
def test_no_step_begins_before_what_it_needs_and_none_is_done_twice_in_a_round(graph, items, fallen):
    run = lived(graph, items, fallen)
    done: set[tuple[str, int, int]] = set()
    for before, event, _ in states(run.events):
        match event:
            case Requested() if event.undo is None and isinstance(before, Running):
                over = {name for name, each in before.states.items() if each.status not in {"waiting", "running"}}
                assert set(graph[event.step].needs) <= over
                assert (event.step, before.states[event.step].round, event.item) not in done
            case Succeeded() if isinstance(before, Running):
                call = before.calls[event.call]
                assert call.status in UNSETTLED
                if call.undo is None:
                    done.add((call.step, before.states[call.step].round, call.item))
            case Revised():
                done = {one for one in done if one[0] not in event.steps}
            case _:
                pass


@given(steps(), ITEMS, FALLEN)
@settings(max_examples=40)
def test_the_same_is_decided_again_and_the_log_tells_the_same_state(graph, items, fallen):
    run, again = lived(graph, items, fallen), lived(graph, items, fallen)
    assert again.events == run.events
    written = msgspec.json.encode(run.events)
    read = msgspec.json.decode(written, type=list[Event])
    assert read == run.events
    assert workflow.fold(read) == run.state
    kept = msgspec.json.decode(msgspec.json.encode(run.state), type=workflow.states)
    assert kept == run.state
