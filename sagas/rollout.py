"""Carrying out the steps of a deployment saga on a target.

Every attempt ends in an outcome, never in an exception: the saga decides what it means. The log counts the
attempts; tenacity's strategies say when the next one is due and when it was the last.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import RetryCallState
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from domain import environment, saga
from domain.circuit import Circuit
from eventstore.envelope import now
from sagas.course import Attempt
from sagas.definition import Done, Exhausted, Outcome, Perform, Rejected, SagaDefinition, Stumbled, Told, Unreachable
from sagas.deployment import KIND, attempt_of, listens, plan, react
from sagas.looking import ReadCounters, look
from sagas.steps import carry_out, undo
from sagas.targets.port import ReleaseFailed, Target, TargetRefused, TargetUnavailable, TargetUnreachable

TargetOf = Callable[[environment.Target], Target]
"""The implementation for a target of an environment. Raises TargetRefused for an unknown kind."""

CircuitOf = Callable[[str, str], Awaitable[Circuit | None]]
"""The circuit breaker of an environment's target, by their names; None: nothing is wrong with it."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter: `first` seconds, doubled up to `longest`, at most `attempts` attempts."""

    attempts: int = 6
    first: float = 0.2
    longest: float = 10.0

    def next(self, attempt: int) -> float | None:
        """Seconds to wait after this attempt (from 1); None when it was the last."""
        return None if stop_after_attempt(self.attempts)(_at(attempt)) else self._wait(attempt, self.longest)

    def patient(self, attempt: int) -> float:
        """Seconds to wait after this attempt where nobody waits for it: there is no last one."""
        return self._wait(attempt, 30 * self.longest)

    def _wait(self, attempt: int, longest: float) -> float:
        return wait_exponential_jitter(multiplier=self.first, max=longest, jitter=self.first)(_at(attempt))


def _at(attempt: int) -> RetryCallState:
    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # pyright: ignore[reportArgumentType]
    state.attempt_number = attempt
    return state


def deployment_saga(
    target_of: TargetOf, circuit_of: CircuitOf, read_counters: ReadCounters, retries: RetryPolicy
) -> SagaDefinition:
    async def perform(state: saga.Running, what: Perform) -> Outcome:
        attempt = Attempt(attempt_of(state).rollout, what.attempt)
        place = _place(state, attempt, what)
        circuit = await circuit_of(attempt.rollout.environment_id, place.name)
        if circuit is not None and circuit.is_open(now()) and _may_fall_back(state, attempt):
            return Unreachable(what, f"{place.name} could not be reached {circuit.failures} times in a row")
        try:
            done = await _perform(target_of(place), attempt, state, what, read_counters)
        except (TargetRefused, ReleaseFailed) as error:
            return Rejected(what, str(error))
        except TargetUnavailable as error:
            return _again(state, attempt, place, what, error)
        if circuit is None:
            return done
        reached = _to_environment(attempt, environment.ReportReached(place.name))
        return Done(what, done.detail, (*done.reports, reached))

    def _again(
        state: saga.Running, attempt: Attempt, place: environment.Target, what: Perform, error: TargetUnavailable
    ) -> Outcome:
        number = state.attempts + 1
        unreachable = isinstance(error, TargetUnreachable)
        report = environment.ReportUnreachable(place.name, str(error), now())
        reports = (_to_environment(attempt, report),) if unreachable else ()
        delay = retries.patient(number) if state.delivered else retries.next(number)
        if what.operation == "look" and delay is None:
            delay = retries.longest  # the canary goes on without a look for as long as it must
        if delay is not None:
            return Stumbled(what, number, delay, str(error), reports)
        reason = f"{error} (after {number} attempts)"
        if unreachable and _may_fall_back(state, attempt):
            return Unreachable(what, reason)
        return Exhausted(what, reason)

    return SagaDefinition(KIND, ("deployment",), listens, plan, react, perform)


def _may_fall_back(state: saga.Running, attempt: Attempt) -> bool:
    """Only before there was traffic: a release that is being watched must not get past that by an outage."""
    forward = state.compensating is None and not state.delivered
    switched = any(
        each.operation == "switch" and each.attempt == attempt.number and each.status == "kept"
        for each in state.effects
    )
    return forward and not switched and attempt.number < len(attempt.rollout.targets)


def _place(state: saga.Running, attempt: Attempt, what: Perform) -> environment.Target:
    """Where it is to be done: after the outcome is told, what was live elsewhere is retired there."""
    elsewhere = attempt.rollout.previous_target
    return elsewhere if state.delivered and what.operation == "retire" and elsewhere is not None else attempt.target


def _to_environment(attempt: Attempt, command: environment.Command) -> Told:
    return Told(environment.environment.category, attempt.rollout.environment_id, command)


async def _perform(
    target: Target, attempt: Attempt, state: saga.Running, what: Perform, read_counters: ReadCounters
) -> Done:
    """Raises the errors of the target port."""
    if what.undo:
        return Done(what, await undo(target, attempt.rollout, what.operation, what.key or ""))
    if what.operation == "look":
        return await look(target, attempt, what, read_counters, waiting=state.waiting)
    return await carry_out(target, attempt, what)
