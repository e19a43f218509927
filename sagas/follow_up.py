"""The follow-up saga, pure: one question, one reminder, and the end of waiting.

    ask → wait → remind → await → expired

An answer ends it at any time. Whenever something wakes it (a timer, a pause, its end) it looks first: how the question
stands, and how much of its time is left, is what the record says, whatever came in which order. What is being sent
when it ends is settled, so that a reply to it is known for one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from domain import record, saga
from eventstore.envelope import Recorded
from sagas.definition import (
    Cancelled,
    Decision,
    Done,
    Exhausted,
    Heard,
    Outcome,
    Perform,
    Refused,
    Rejected,
    Stumbled,
    TimedOut,
    Told,
    Unreachable,
)
from sagas.follow_up_course import (
    KIND,
    FollowUp,
    Seen,
    Sending,
    asked,
    clipped,
    follow_up_of,
    open_effect,
    seen_of,
    sent_of,
)

_NO_TIME = 0.001
"""Seconds: a step with a timeout of 0 has none."""

_PASSED = "nobody waits for it any more; whether it was sent is not known"


def saga_id(record_id: str, number: int) -> str:
    return f"{KIND}-{record_id}-{number}"


def listens(event: Recorded, data: Any) -> tuple[str, saga.Started | Outcome] | None:
    """What an event of a record means for the saga of one of its questions."""
    record_id = event.stream.id
    match data:
        case record.FollowUpRequested(number, gaps, chase):
            follow_up = FollowUp(record_id, number, gaps, chase)
            raw = msgspec.Raw(msgspec.json.encode(follow_up))
            return saga_id(record_id, number), saga.Started(KIND, str(event.stream), follow_up.steps, raw)
        case record.Answered(number=int(number), late=False):
            return saga_id(record_id, number), Heard(data)
        case record.FollowUpEnded() | record.FollowUpPaused() | record.FollowUpResumed():
            return saga_id(record_id, data.number), Heard(data)
        case _:
            return None


def plan(state: saga.Running) -> Decision | Perform | None:
    follow_up = follow_up_of(state)
    if state.paused is not None:
        return None
    match state.step:
        case None:
            return Decision((_begun("ask"), _planned(follow_up, "ask")))
        case "ask" | "remind":
            return Perform(state.step, "send", follow_up.key(state.step))
        case "look":
            return Perform("look", f"look-{state.verdict}")
        case "settle":
            effect = open_effect(state)
            return Decision((saga.Completed(),)) if effect is None else Perform("settle", effect.step, effect.key)
        case _:
            return None  # an answer, a person or the timer comes


def react(state: saga.Running, outcome: Outcome) -> Decision:
    follow_up = follow_up_of(state)
    match outcome:
        case Done(what, detail, reports):
            return _done(state, follow_up, what, detail, reports)
        case Stumbled(what, number, delay, reason, reports):
            return Decision((saga.StepRetried(what.step, number, delay, reason),), reports)
        case Rejected(what, reason) | Unreachable(what, reason):
            return _not_sent(follow_up, what, reason)
        case Exhausted(what, reason) if what.step == "remind":
            return _unreminded(what, saga.EffectUnknown(what.key or "", reason), reason)
        case Exhausted(what, reason):
            unknown = (saga.EffectUnknown(what.key, reason),) if what.key is not None else ()
            return Decision((*unknown, saga.Paused(f"{what.step}: {reason}")))
        case Heard(event):
            return _hear(state, follow_up, event)
        case TimedOut(timer):
            return _timed_out(state, timer)
        case Refused(refusal, reason):
            return _refused(state, follow_up, refusal, reason)
        case Cancelled():
            return Decision()  # a record is dismissed instead


def _done(state: saga.Running, follow_up: FollowUp, what: Perform, detail: str, reports: tuple[Told, ...]) -> Decision:
    match what.step:
        case "ask" | "remind":
            left, done = sent_of(detail).left, saga.StepCompleted(what.step, "sent")
            after = state.steps[state.steps.index(what.step) + 1]
            return Decision((saga.EffectKept(what.key or "", detail), done, _begun(after, left)), reports)
        case "look":
            return _looked(state, follow_up, seen_of(detail), reports)
        case _:
            known = saga.EffectKept(what.key or "", detail) if detail else saga.EffectWaived(what.key or "", _PASSED)
            return Decision((known, saga.Completed()), reports)


def _looked(state: saga.Running, follow_up: FollowUp, seen: Seen, reports: tuple[Told, ...]) -> Decision:
    match seen.status:
        case "over":
            return _over(state, follow_up, reports)
        case "paused":
            return Decision((_begun("paused"),), reports)
        case "waiting" if seen.left <= 0:
            return _over(state, follow_up, (*reports, follow_up.tell_record(record.Expire(follow_up.number))))
        case "waiting":
            return Decision(_goes_on(state, follow_up, seen), reports)


def _goes_on(state: saga.Running, follow_up: FollowUp, seen: Seen) -> tuple[saga.Event, ...]:
    match state.remaining[0]:
        case "wait" if seen.remind_in <= 0:
            passed = saga.StepCompleted("wait", "no answer")
            return passed, _begun("remind", seen.left), _planned(follow_up, "remind")
        case "wait":
            return (_begun("wait", seen.remind_in),)
        case step:
            return (_begun(step, seen.left),)


def _not_sent(follow_up: FollowUp, what: Perform, reason: str) -> Decision:
    """The sender cannot be asked; one who cannot be reminded has the rest of the time all the same."""
    undone, failed = saga.EffectUndone(what.key or ""), saga.StepFailed(what.step, reason)
    match what.step:
        case "ask":
            told = follow_up.tell_record(record.ReportUnasked(follow_up.number, clipped(reason)))
            return Decision((undone, failed, saga.Completed()), (told,))
        case "remind":
            return _unreminded(what, undone, reason)
        case _:
            return Decision((failed, saga.Paused(f"{what.step}: {reason}")))


def _unreminded(what: Perform, effect: saga.EffectUndone | saga.EffectUnknown, reason: str) -> Decision:
    """Never again: it may have come."""
    skipped = saga.StepsSkipped((what.step,))
    return Decision((effect, saga.StepFailed(what.step, reason), skipped, _begun("look")))


def _hear(
    state: saga.Running,
    follow_up: FollowUp,
    event: record.Answered | record.FollowUpEnded | record.FollowUpPaused | record.FollowUpResumed,
) -> Decision:
    if state.step == "settle":
        return Decision()
    match event:
        case record.Answered() | record.FollowUpEnded():
            return _over(state, follow_up)
        case record.FollowUpPaused():
            return _look(state, "paused")
        case record.FollowUpResumed():
            return _look(state, "resumed")


def _timed_out(state: saga.Running, timer: str) -> Decision:
    if state.paused is not None or state.step is None or timer != f"{state.step}-timeout":
        return Decision()
    return _look(state, "timed out") if state.step in ("wait", "remind", "await") else Decision()


def _refused(state: saga.Running, follow_up: FollowUp, refusal: str, reason: str) -> Decision:
    match refusal:
        case "follow_up_over" if state.step != "settle":
            return _over(state, follow_up)
        case "follow_up_paused":
            return _look(state, "paused")
        case _:
            return Decision((saga.Paused(f"{refusal}: {reason}"),))


def _look(state: saga.Running, why: str) -> Decision:
    """The number makes every look another one: news that come during one begin it again."""
    if asked(state) is None:
        return Decision()  # its time has not begun
    return Decision((saga.VerdictHeard(state.step or "", state.verdict + 1, why), _begun("look")))


def _over(state: saga.Running, follow_up: FollowUp, told: tuple[Told, ...] = ()) -> Decision:
    """Nothing is waited for any more. What may be on its way is settled first."""
    question = asked(state)
    closed = follow_up.closed(question.conversation) if question is not None else ()
    if open_effect(state) is None:
        return Decision((saga.Completed(),), (*told, *closed))
    resumed = (saga.Resumed(),) if state.paused is not None else ()
    return Decision((*resumed, _begun("settle")), (*told, *closed))


def _begun(step: str, left: float | None = None) -> saga.StepStarted:
    timeout = 0.0 if left is None else max(left, _NO_TIME)
    return saga.StepStarted(step, timeout, f"{step}-timeout")


def _planned(follow_up: FollowUp, step: Sending) -> saga.EffectPlanned:
    return saga.EffectPlanned(follow_up.key(step), step, "send", "none")
